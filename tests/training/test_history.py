"""History: columns, best epochs, JSON and pictures."""

import builtins
import json
import math
import sys

import matplotlib as mpl
import numpy as np
import pytest

from accelnn.errors import AccelnnError, ArgumentError, ArgumentTypeError
from accelnn.training.history import Best, History


@pytest.fixture
def history():
    made = History(runner="plain")
    made.record(loss=0.5, seconds=1.0, samples_per_s=1000.0, val_loss=0.6, accuracy=0.7, val_accuracy=0.65)
    made.record(loss=0.3, seconds=0.5, samples_per_s=2000.0, val_loss=0.4, accuracy=0.8, val_accuracy=0.75)
    made.record(loss=0.2, seconds=0.5, samples_per_s=2000.0, val_loss=0.4, accuracy=0.9, val_accuracy=0.70)
    return made


def test_a_new_history_is_empty():
    history = History()
    assert len(history) == 0
    assert history.keys() == []
    assert history.to_dict() == {}
    assert "loss" not in history
    assert (history.interrupted, history.stopped_because, history.runner) == (False, None, "")


def test_columns(history):
    assert len(history) == 3
    assert history["loss"] == [0.5, 0.3, 0.2]
    assert history.keys() == ["loss", "seconds", "samples_per_s", "val_loss", "accuracy", "val_accuracy"]
    assert "val_loss" in history
    assert "mae" not in history
    assert dict(history)["accuracy"] == [0.7, 0.8, 0.9]
    assert history.epochs[1]["val_accuracy"] == 0.75


def test_record_returns_what_it_keeps_as_python_floats():
    history = History()
    record = history.record(loss=np.float32(0.5), count=np.int64(3), val_loss=math.nan)
    assert record is history.epochs[0]
    assert [type(value) for value in record.values()] == [float, float, float]


def test_a_column_that_begins_later_is_filled_with_nan():
    history = History()
    history.record(loss=0.5)
    history.record(loss=0.4, val_loss=0.6)
    assert math.isnan(history["val_loss"][0])
    assert history["val_loss"][1] == 0.6
    assert history.to_dict() == {"loss": [0.5, 0.4], "val_loss": [None, 0.6]}


def test_to_dict_is_strict_json(history):
    history.record(loss=math.inf, val_loss=math.nan)
    text = json.dumps(history.to_dict(), allow_nan=False)
    assert json.loads(text)["loss"] == [0.5, 0.3, 0.2, None]


def test_best(history):
    assert history.best() == Best(1, 0.4)
    assert history.best("val_accuracy") == Best(1, 0.75)
    assert history.best("accuracy", mode="min") == Best(0, 0.7)
    assert history.best("loss").epoch == 2


def test_best_is_never_nan():
    history = History()
    for value in (math.nan, 0.3, math.nan):
        history.record(loss=value)
    assert history.best("loss") == Best(1, 0.3)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda h: h["val_los"], r"column is 'val_los': did you mean 'val_loss'\?"),
        (lambda h: h.best("mae"), "column is 'mae': known names are "),
        (lambda h: h.best("loss", mode="least"), "mode is 'least'"),
        (lambda h: h.record(), "give at least one column"),
        (
            lambda h: h.plot("no/such/folder/plot.png"),
            r"^path is 'no/such/folder/plot.png': there is no folder",
        ),
        (lambda h: h.plot("plot.xyz"), r"^path is 'plot.xyz': use a file name that ends in .*\.png"),
        (lambda h: h.plot("plot"), "use a file name that ends in"),
        (lambda _: History().plot(), "there is nothing to plot"),
    ],
)
def test_bad_values(history, use, message):
    with pytest.raises(ArgumentError, match=message):
        use(history)


def test_best_of_nothing_but_nan():
    history = History()
    history.record(loss=math.nan)
    with pytest.raises(ArgumentError, match="NaN in every epoch"):
        history.best("loss")


@pytest.mark.parametrize("value", ["0.5", None, True, np.array([0.5]), 1j])
def test_values_that_are_no_numbers(value):
    with pytest.raises(ArgumentTypeError, match=r"^mine is .*: record a real number"):
        History().record(mine=value)


def test_a_path_of_the_wrong_type(history):
    with pytest.raises(ArgumentTypeError, match=r"^path is 3"):
        history.plot(3)


@pytest.mark.parametrize(("ending", "signature"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_plot_to_a_file_leaves_pyplot_alone(history, tmp_path, ending, signature, monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    path = tmp_path / f"plot.{ending}"
    figure = history.plot(path)
    assert path.read_bytes().startswith(signature)
    assert "matplotlib.pyplot" not in sys.modules
    labels = [[line.get_label() for line in axes.lines] for axes in figure.axes]
    assert labels == [["loss", "val_loss"], ["accuracy", "val_accuracy"]]
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), [0.6, 0.4, 0.4])


def test_plot_without_a_file_is_a_figure_of_pyplot(history):
    with mpl.rc_context({"backend": "Agg"}):
        from matplotlib import pyplot

        figure = history.plot()
        assert pyplot.fignum_exists(figure.number)
        pyplot.close(figure)


def test_without_matplotlib_the_error_says_what_to_install(history, monkeypatch):
    real = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(AccelnnError, match=r'pip install "accelnn\[plot\]"'):
        history.plot()
