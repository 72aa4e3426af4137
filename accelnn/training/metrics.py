"""Metrics: numbers that are computed from outputs and targets on the host, reported and never differentiated.

A metric is a function ``(output, target) -> float`` of two NumPy arrays, which are read-only: they belong to the run,
to other metrics too. ``output`` are the activations of the output layer, ``(batch, n_out)`` or ``(batch,)``. Sums are
taken in float64 whatever the dtype of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from accelnn.arrays.float_errors import callers_float_errors
from accelnn.errors import ArgumentError, ShapeError, invalid, shown, unknown_name, wrong_type
from accelnn.network.arguments import own_name
from accelnn.training.arguments import FloatArray

HostArray: TypeAlias = npt.NDArray[Any]
MetricFunction: TypeAlias = Callable[[HostArray, HostArray], float]
MetricSpec: TypeAlias = str | MetricFunction

_RESERVED = ("loss", "seconds", "samples_per_s")
_LOWER_ENDINGS = ("loss", "error", "mse", "mae", "rmse", "seconds")
_HIGHER_ENDINGS = ("accuracy", "score", "r2", "samples_per_s")


def accuracy(output: HostArray, target: HostArray) -> float:
    """Return the fraction of rows whose class is right.

    Args:
        output: ``(batch, K)``: the class is the largest entry of the row (the first of equals). One column
            or ``(batch,)``: the probability of class 1, which is chosen above 0.5.
        target: class labels ``(batch,)`` or ``(batch, 1)``; or rows ``(batch, K)``, one-hot or
            probabilities, whose class is the largest entry. Targets with several ones in a row belong to
            ``binary_accuracy``.

    Raises:
        ShapeError: shapes that do not fit each other, or no rows.
        ArgumentTypeError: other things than real numbers.

    """
    output, target = _with_rows(output, target)
    classes = _classes(output)
    wanted = np.argmax(target, axis=1) if _is_wide(target) else target.reshape(len(target))
    if _is_wide(target) and target.shape != output.shape:
        raise _shapes_differ(output, target, "give labels (batch,) or one-hot rows (batch, n_out)")
    return float(np.mean(classes == wanted))


def binary_accuracy(output: HostArray, target: HostArray) -> float:
    """Return the fraction of entries on the right side of 0.5.

    Args:
        output: probabilities ``(batch, K)`` or ``(batch,)``; above 0.5 means 1.
        target: 0/1 in the same shape; ``(batch,)`` and ``(batch, 1)`` are the same.

    Raises:
        ShapeError: shapes that do not fit each other, or no rows.

    """
    output, target = _same_shape(output, target)
    return float(np.mean((output > 0.5) == (target > 0.5)))


def mse(output: HostArray, target: HostArray) -> float:
    """Return the mean of ``(output - target)^2`` over all entries; shapes, errors as ``binary_accuracy``."""
    return float(np.mean(_errors(output, target) ** 2))


def mae(output: HostArray, target: HostArray) -> float:
    """Return the mean of ``|output - target|`` over all entries; shapes, errors as ``binary_accuracy``."""
    return float(np.mean(np.abs(_errors(output, target))))


def rmse(output: HostArray, target: HostArray) -> float:
    """Return the square root of ``mse``, in the unit of the target."""
    return float(np.sqrt(mse(output, target)))


def r2(output: HostArray, target: HostArray) -> float:
    """Return the coefficient of determination, 1 - residual / total sum of squares, mean over the columns.

    1 is perfect, 0 is as good as the mean of the targets. A column of equal targets counts 1 if it is
    predicted exactly and 0 if not, as in scikit-learn's ``r2_score``. Shapes, errors as ``binary_accuracy``.
    """
    residual = np.sum(_errors(output, target) ** 2, axis=0)
    values = np.asarray(target, np.float64).reshape(len(target), -1)
    total = np.sum((values - values.mean(axis=0)) ** 2, axis=0)
    constant = total == 0.0
    fraction = residual / np.where(constant, 1.0, total)
    return float(np.mean(np.where(constant, residual == 0.0, 1.0 - fraction)))


METRICS: Final[dict[str, MetricFunction]] = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "mse": mse,
    "mae": mae,
    "rmse": rmse,
    "r2": r2,
}
"""Metric by name."""

METRIC_ALIASES: Final[dict[str, str]] = {
    "acc": "accuracy",
    "Accuracy": "accuracy",
    "accuracy_score": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "CategoricalAccuracy": "accuracy",
    "SparseCategoricalAccuracy": "accuracy",
    "BinaryAccuracy": "binary_accuracy",
    "mean_squared_error": "mse",
    "MeanSquaredError": "mse",
    "MSE": "mse",
    "mean_absolute_error": "mae",
    "MeanAbsoluteError": "mae",
    "MAE": "mae",
    "root_mean_squared_error": "rmse",
    "RootMeanSquaredError": "rmse",
    "RMSE": "rmse",
    "r2_score": "r2",
    "R2Score": "r2",
}
"""What Keras, scikit-learn, fastai and others call them."""

_ERROR = "errors are positive here, lower is better: use "
_ABSENT_METRICS = {
    **dict.fromkeys(("auc", "AUC", "roc_auc", "roc_auc_score", "f1", "F1Score", "f1_score", "precision", "Precision",
                     "precision_score", "recall", "Recall", "recall_score", "balanced_accuracy",
                     "balanced_accuracy_score", "top_k_categorical_accuracy", "mean_absolute_percentage_error"),
                    "write a function of it, with (output, target) as NumPy arrays, and give that in its place"),
    "error_rate": "use 'accuracy', which is 1 - error_rate",
    "neg_mean_squared_error": f"{_ERROR}'mse'",
    "neg_mean_absolute_error": f"{_ERROR}'mae'",
    **dict.fromkeys(("loss", "categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy",
                     "log_loss"),
                    "leave it out: the loss is recorded anyway, as 'loss' and 'val_loss'"),
}  # fmt: skip


def resolve_metric(spec: MetricSpec) -> tuple[str, MetricFunction]:
    """Return the name, which is the key in the history, and the function of a metric.

    Args:
        spec: a key of ``METRICS`` or ``METRIC_ALIASES``, or a function ``(output, target) -> float`` of host
            arrays written with ``def``, whose own name is used.

    Raises:
        ArgumentError: an unknown name (the nearest one is proposed), a function without a usable name, or
            one called like another column of the history.
        ArgumentTypeError: neither a string nor a function.

    """
    if isinstance(spec, str):
        name = own_name("metric", spec, METRICS, METRIC_ALIASES, "accuracy", _ABSENT_METRICS)
        return name, METRICS[name]
    if not callable(spec) or isinstance(spec, type):
        raise wrong_type("metric", spec, f"use a function (output, target) -> float or {', '.join(METRICS)}")
    return _checked_name(spec), spec


def resolve_metrics(
    specs: MetricSpec | Iterable[MetricSpec] | None,
) -> dict[str, MetricFunction]:
    """Return name and function of each metric in ``specs`` (one, several or None), in their order.

    Raises:
        ArgumentError, ArgumentTypeError: as ``resolve_metric``; also two metrics of the same name.

    """
    if specs is None:
        return {}
    if isinstance(specs, Mapping):
        raise wrong_type("metrics", specs, "use a list of names and functions: a function's own name is its column")
    if isinstance(specs, str) or not isinstance(specs, Iterable):
        specs = [specs]
    named: dict[str, MetricFunction] = {}
    for spec in specs:
        name, function = resolve_metric(spec)
        if name in named:
            raise invalid("metrics", name, "give every metric once, and different functions different names")
        named[name] = function if isinstance(spec, str) else callers_float_errors()(function)
    return named


def higher_is_better(name: str) -> bool:
    """Return whether larger values of the column ``name`` of a history are better.

    True for names that end in accuracy, score, r2 and samples_per_s; False for loss, error, mse, mae, rmse
    and seconds; with or without ``val_`` in front.

    Raises:
        ArgumentError: any other name, whose direction only the caller knows.
        ArgumentTypeError: not a string.

    """
    _check_is_name(name)
    if name.endswith(_HIGHER_ENDINGS):
        return True
    if name.endswith(_LOWER_ENDINGS):
        return False
    own = own_column(name)
    fix = "say mode='max' or mode='min', its name does not tell which is better"
    raise invalid("metric", name, fix if own is None else f"use {own!r}, its name in the history; or else {fix}")


def own_column(name: str) -> str | None:
    """Return accelnn's name of a column that another library calls ``name``, such as "val_acc"; None for all others."""
    metric = name.removeprefix("val_")
    return name.removesuffix(metric) + METRIC_ALIASES[metric] if metric in METRIC_ALIASES else None


def unknown_column(argument: str, name: object, columns: Iterable[str]) -> ArgumentError:
    """Return the error for a column that is not recorded; it proposes the nearest one, or what it is called here."""
    recorded, own = list(columns), own_column(str(name))
    return unknown_name(argument, name, recorded, {str(name): own} if own and own in recorded else None)


def resolve_mode(metric: str, mode: str) -> bool:
    """Return whether higher values of ``metric`` are better, from ``mode`` "auto", "min" or "max".

    Raises:
        ArgumentError: another mode, or "auto" for a metric whose direction is not known.
        ArgumentTypeError: ``metric`` is not a string.

    """
    _check_is_name(metric)
    if mode not in ("auto", "min", "max"):
        raise unknown_name("mode", mode, ("auto", "min", "max"))
    return higher_is_better(metric) if mode == "auto" else mode == "max"


def _check_is_name(metric: object) -> None:
    if not isinstance(metric, str):
        raise wrong_type("metric", metric, "use the name of a metric, such as 'val_loss'")


def _checked_name(function: MetricFunction) -> str:
    name = getattr(function, "__name__", "")
    if not name.isidentifier():  # a lambda, a functools.partial, an object with __call__
        raise invalid("metric", function, "write it with def, its name becomes a column of the history")
    if name in _RESERVED or name.startswith("val_"):
        raise ArgumentError(
            f"metric {shown(function)} is called {name!r}: use another name, "
            f"{', '.join(_RESERVED)} and val_... are other columns of the history"
        )
    return name


def _is_wide(array: HostArray) -> bool:
    return array.ndim == 2 and array.shape[1] > 1


def _classes(output: HostArray) -> HostArray:
    return np.argmax(output, axis=1) if _is_wide(output) else output.reshape(len(output)) > 0.5


def _with_rows(output: HostArray, target: HostArray) -> tuple[HostArray, HostArray]:
    output, target = _numbers("output", output), _numbers("target", target)
    shaped = all(array.ndim in (1, 2) and array.size for array in (output, target))
    if not shaped or len(output) != len(target):
        raise _shapes_differ(output, target, "give (batch, n_out) or (batch,) with the same batch >= 1")
    return output, target


def _numbers(argument: str, values: HostArray) -> HostArray:
    fix = "use an array of real numbers"
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise wrong_type(argument, values, fix) from error
    if array.dtype.kind not in "fiub":
        raise wrong_type(argument, values, fix)
    return array


def _same_shape(output: HostArray, target: HostArray) -> tuple[HostArray, HostArray]:
    """Return both as (batch, K)."""
    output, target = _with_rows(output, target)
    output, target = output.reshape(len(output), -1), target.reshape(len(target), -1)
    if output.shape != target.shape:
        raise _shapes_differ(output, target, "give a target of the shape of the output")
    return output, target


def _errors(output: HostArray, target: HostArray) -> FloatArray:
    output, target = _same_shape(output, target)
    return np.asarray(output, np.float64) - np.asarray(target, np.float64)


def _shapes_differ(output: HostArray, target: HostArray, fix: str) -> ShapeError:
    return ShapeError(f"output has shape {output.shape} and target {target.shape}: {fix}")
