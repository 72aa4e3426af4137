"""Model files: the way out and back, and every way a file can be wrong."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from accelnn.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    ModelFileError,
    NotBuiltError,
)
from accelnn.network import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Layer,
    LayerNorm,
    Network,
    Rescaling,
    load_network,
    read_model_file,
    restore,
    save,
)


class Power(Layer):
    """A custom layer with an argument."""

    def __init__(self, exponent):
        self.exponent = exponent

    def config(self):
        return {"exponent": self.exponent}

    def forward(self, x, context):
        self.x = x
        return x**self.exponent

    def backward(self, dy):
        return dy * self.exponent * self.x ** (self.exponent - 1)


def make(*more, dtype="float32"):
    layers = [
        Rescaling(0.5),
        Dense(6, "relu", initializer=np.ones((4, 6)), l2=0.1, name="first"),
        BatchNorm(),
        Dropout(0.2),
        LayerNorm(),
        *more,
        Dense(3, use_bias=False),
        Activation("softmax"),
    ]
    return Network(layers, n_in=4, dtype=dtype, backend="cpu", seed=3)


@pytest.fixture
def x():
    return np.random.default_rng(2).standard_normal((6, 4))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


@pytest.fixture
def saved(path):
    save(make(), path)
    return path


def predict(network, x):
    return network.forward(x, network.context())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(path, x, dtype):
    network = make(dtype=dtype)
    network.layers[2].running_mean[...] = 0.25
    save(network, path)
    loaded = load_network(path, backend="cpu")
    np.testing.assert_array_equal(predict(loaded, x), predict(network, x))
    assert (loaded.dtype, loaded.seed, loaded.units) == (dtype, 3, [4, 6, 3])
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in network.layers]
    assert loaded.layers[1].l2 == 0.1
    assert loaded.layers[1].initializer == Dense(6, "relu").initializer  # given arrays are not stored


def test_the_file_is_exactly_where_it_was_asked_for(tmp_path, x):
    save(make(), str(tmp_path / "name without suffix"))
    assert [p.name for p in tmp_path.iterdir()] == ["name without suffix"]
    load_network(tmp_path / "name without suffix", backend="cpu")


def test_other_programs_can_read_it(saved):
    with np.load(saved, allow_pickle=False) as archive:
        description = json.loads(archive["description"].tobytes())
        values = archive["values"]
    entry = next(e for e in description["parameters"] if (e["layer"], e["name"]) == ("first", "W"))
    size = int(np.prod(entry["shape"]))
    part = values[entry["offset"] : entry["offset"] + size].reshape(entry["shape"])
    np.testing.assert_array_equal(part, np.ones((4, 6)))


def test_extra_comes_back(path):
    extra = {"classes": ["cat", "dog"], "scale": 0.1, "note": "grün"}
    save(make(), path, extra=extra)
    assert read_model_file(path).extra == extra


@pytest.mark.parametrize("extra", [{"a": np.ones(2)}, {"a": float("nan")}, {1: "a"}, {"a": (1, 2)}])
def test_extra_must_survive_json(path, extra):
    with pytest.raises(ArgumentError, match=r"extra is .*JSON"):
        save(make(), path, extra=extra)
    assert not path.exists()


def test_a_class_of_ones_own_is_restored(saved):
    class Model(Network):
        pass

    assert type(restore(read_model_file(saved), Model, backend="cpu")) is Model


def test_custom_layers(path, x):
    network = make(Power(2))
    save(network, path)
    with pytest.raises(ModelFileError, match=r"class 'Power'.*pass custom_layers=\{'Power': Power\}"):
        load_network(path, backend="cpu")
    loaded = load_network(path, backend="cpu", custom_layers={"Power": Power})
    np.testing.assert_array_equal(predict(loaded, x), predict(network, x))
    with pytest.raises(ArgumentTypeError, match="derived from Layer"):
        load_network(path, backend="cpu", custom_layers={"Power": dict})


def test_a_custom_layer_that_could_not_be_loaded_is_not_saved(path):
    class Forgetful(Power):
        def config(self):
            return {}

    with pytest.raises(ArgumentError, match=r"config\(\) of layer forgetful_1.*missing.*'exponent'"):
        save(make(Forgetful(2)), path)
    with pytest.raises(ArgumentError, match=r"config\(\) of layer power_1.*JSON"):
        save(make(Power({2})), path)


def test_what_is_not_saved(path):
    network = make()
    network.arena.values[3] = np.nan
    with pytest.raises(ArgumentError, match="NaN or infinite"):
        save(network, path)
    with pytest.raises(NotBuiltError):
        save(Network([Dense(2)], backend="cpu"), path)
    assert not path.exists()


def test_an_unusable_backend_is_not_the_files_fault(saved):
    with pytest.raises(ArgumentError, match="backend"):
        load_network(saved, backend="gpu")
    with pytest.raises(BackendError):
        load_network(saved, backend="cuda:999")


def entries(path):
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    return arrays, json.loads(arrays["description"].tobytes())


def as_bytes(text):
    return np.frombuffer(text.encode(), dtype=np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not the one of an accelnn model"),
        ({"version": 2}, "format version 2 .* update accelnn"),
        ({"layers": None}, "no valid 'layers'"),
        ({"layers": []}, "0 parameters"),
        ({"layers": [5]}, "no layer here: 5"),
        ({"layers": [{"class": "Dense", "config": {}, "name": "a"}]}, "class 'Dense' cannot be made .*units"),
        ({"layers": [{"class": "Dense", "config": {"units": 0}, "name": "a"}]}, "units is 0"),
        ({"layers": [{"class": "Dense", "config": {"units": 3}}]}, "name is None"),
        ({"layers": [{"class": "os.system", "config": {}, "name": "a"}]}, "class 'os.system'"),
        ({"layers": [{"class": "Dense", "config": {"units": 10**15}, "name": "a"}]}, "its layers have"),
        ({"n_in": 0}, "n_in is 0"),
        ({"n_in": True}, "n_in is True"),
        ({"n_in": 10**18}, "its layers have"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"feature_names": ["a"]}, "feature_names are not 4 names"),
        ({"feature_names": ["a", "b", "c", 4]}, "feature_names are not 4 names"),
        ({"feature_names": "abcd"}, "feature_names are not 4 names"),
        ({"dtype": "float64"}, "not a flat array of float64"),
        ({"dtype": "int8"}, "not a flat array of int8"),
        ({"extra": 3}, "no valid 'extra'"),
    ],
)
def test_a_false_description(saved, change, message):
    arrays, description = entries(saved)
    arrays["description"] = as_bytes(json.dumps(description | change))
    np.savez(saved, **arrays)
    with pytest.raises(ModelFileError, match=message):
        load_network(saved, backend="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.ones(3, dtype=np.float32)}, "3"),
        ({"values": np.ones((2, 2), dtype=np.float32)}, "flat array"),
        ({"state": np.ones(12)}, "flat array of float32"),
        ({"state": np.ones(11, dtype=np.float32)}, "12 state values and it holds 11"),
        ({"state": np.full(12, np.inf, dtype=np.float32)}, "NaN or infinity"),
        ({"values": np.array([{}], dtype=object)}, "damaged"),
        ({"description": as_bytes("{")}, "not JSON"),
        ({"description": as_bytes("[" * 100_000)}, "not JSON"),
        ({"description": as_bytes("[]")}, "not the one of"),
        ({"description": np.array([300])}, "not JSON"),
        ({"description": np.array([200], dtype=np.uint8)}, "not JSON"),
    ],
)
def test_false_arrays(saved, change, message):
    np.savez(saved, **(entries(saved)[0] | change))
    with pytest.raises(ModelFileError, match=message):
        load_network(saved, backend="cpu")


def archive_without_values():
    buffer = io.BytesIO()
    np.savez(buffer, description=as_bytes("{}"))
    return buffer.getvalue()


def archive_of_text():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("description", "values", "state"):
            archive.writestr(name, "text")
    return buffer.getvalue()


def compressed_archive():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, description=as_bytes("{}"), values=np.zeros(9), state=np.zeros(9))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not found</html>",
        pickle.dumps({"a": 1}),
        archive_without_values(),
        archive_of_text(),
        compressed_archive(),
    ],
    ids=["empty", "html", "pickle", "incomplete", "text", "compressed"],
)
def test_files_of_another_kind(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model.npz' cannot be used as a model file"):
        load_network(path, backend="cpu")


def test_a_file_cut_off_or_altered_anywhere_is_refused(saved, x):
    whole = saved.read_bytes()
    for length in range(0, len(whole), 97):
        saved.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            load_network(saved, backend="cpu")
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        start = whole.index(b"values.npy") + len("values.npy") + 128 + 40
        assert start < archive.getinfo("state.npy").header_offset
    saved.write_bytes(whole[:start] + bytes([whole[start] ^ 1]) + whole[start + 1 :])
    with pytest.raises(ModelFileError, match="CRC"):
        load_network(saved, backend="cpu")


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(ModelFileError, match="No such file"):
        load_network(tmp_path / "none.npz", backend="cpu")
    with pytest.raises(ModelFileError, match="directory"):
        load_network(tmp_path, backend="cpu")
