from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_stand_ins import Mirror, TinySet, idx_bytes

from accelnn.data import MissingDataError, load_dataset
from accelnn.data import mnist as module
from accelnn.data.mnist import FASHION_MNIST, MNIST, load_image_set
from accelnn.errors import DataError

Make = Callable[..., TinySet]
# Read before the fixtures hide it: the real files are tested where they are.
REAL_DATA_DIR = os.environ.get("ACCELNN_DATA_DIR")


def check(tiny: TinySet, **arguments: object) -> None:
    data = load_dataset(tiny.image_set.name, **arguments)  # type: ignore[arg-type]
    images, labels = list(tiny.contents)[:2]
    assert data.x_train.tobytes() == tiny.contents[images][16:]
    assert data.y_train.tolist() == list(tiny.contents[labels][8:])
    assert (data.x_train.shape, data.x_test.shape) == ((6, 4), (3, 4))
    assert (data.x_train.dtype, data.y_train.dtype) == (np.uint8, np.int64)
    assert data.scale == 1 / 255


@pytest.mark.parametrize("subfolder", ["mnist", "MNIST/raw", "."])
@pytest.mark.parametrize("packed", [True, False])
def test_found_in_the_given_folder(tmp_path: Path, make_tiny: Make, subfolder: str, packed: bool) -> None:
    tiny = make_tiny()
    tiny.write(tmp_path / "data" / subfolder, packed=packed)
    check(tiny, data_dir=tmp_path / "data", download=False)


def test_found_by_environment_variable_and_in_the_cache(
    tmp_path: Path, make_tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = make_tiny()
    tiny.write(tmp_path / "cache" / "mnist")
    check(tiny)
    tiny.write(tmp_path / "env")
    (tmp_path / "cache" / "mnist").rename(tmp_path / "gone")
    monkeypatch.setenv("ACCELNN_DATA_DIR", str(tmp_path / "env"))
    check(tiny)


def test_default_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELNN_CACHE_DIR")
    assert module._cache_folder().name == "accelnn"


def test_folders_that_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"data_dir is .*no such directory"):
        load_dataset("mnist", data_dir=tmp_path / "typo")
    monkeypatch.setenv("ACCELNN_DATA_DIR", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"ACCELNN_DATA_DIR is .*no such directory"):
        load_dataset("mnist")


def test_a_damaged_file_of_the_user_is_an_error(tmp_path: Path, make_tiny: Make) -> None:
    tiny = make_tiny()
    tiny.write(tmp_path, packed=False)
    labels = tmp_path / tiny.image_set.files[1].name
    content = bytearray(labels.read_bytes())
    content[-1] ^= 1
    labels.write_bytes(content)
    with pytest.raises(DataError, match=r"train-labels.*SHA-256"):
        load_dataset("mnist", data_dir=tmp_path)
    labels.write_bytes(content[:-1])
    with pytest.raises(DataError, match="truncated"):
        load_dataset("auto", data_dir=tmp_path)


def test_the_other_set_of_the_same_names_is_passed_over(tmp_path: Path, make_tiny: Make) -> None:
    digits, clothes = make_tiny(MNIST), make_tiny(FASHION_MNIST, seed=1)
    digits.write(tmp_path)
    with pytest.raises(MissingDataError, match="DIR/fashion-mnist"):
        load_dataset("fashion-mnist", data_dir=tmp_path, download=False)
    clothes.write(tmp_path / "cache" / "fashion-mnist")
    check(clothes, data_dir=tmp_path)
    check(digits, data_dir=tmp_path)


def test_without_files_and_network_one_line_says_where_to_put_them(make_tiny: Make, dead_mirror: str) -> None:
    make_tiny(mirrors=(dead_mirror, dead_mirror))
    for download, words in ((True, "could not be downloaded"), (False, "not on this machine")):
        with pytest.raises(MissingDataError, match=words) as caught:
            load_dataset("mnist", download=download)
        message = str(caught.value)
        assert "\n" not in message
        for word in ("train-images-idx3-ubyte.gz", "DIR/mnist", "--data-dir", "ACCELNN_DATA_DIR"):
            assert word in message


def test_auto_falls_back_to_digits_and_says_so(
    make_tiny: Make, dead_mirror: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_tiny(mirrors=(dead_mirror,))
    with caplog.at_level("WARNING", "accelnn"):
        assert load_dataset("auto").name == "digits"
    (record,) = caplog.records
    assert "digits instead of mnist" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_auto_takes_mnist_where_it_is(tmp_path: Path, make_tiny: Make) -> None:
    make_tiny().write(tmp_path / "mnist")
    assert load_dataset("auto", data_dir=tmp_path).name == "mnist"


def test_download_from_the_second_mirror_fills_the_cache(
    tmp_path: Path, make_tiny: Make, make_mirror: Callable[[], Mirror]
) -> None:
    first, second = make_mirror(), make_mirror()
    tiny = make_tiny(mirrors=(first.url, second.url))
    second.serve(tiny)
    html = b"<html>moved</html>"
    names = list(second.answers)
    first.answers = {names[0]: (200, html), names[1]: (200, gzip.compress(html))}
    check(tiny)
    check(tiny, download=False)
    assert len(second.asked) == 4
    assert sorted(path.name for path in (tmp_path / "cache" / "mnist").iterdir()) == sorted(names)


def test_wrong_content_from_every_mirror_is_not_kept(
    tmp_path: Path, make_tiny: Make, make_mirror: Callable[[], Mirror]
) -> None:
    mirror = make_mirror()
    tiny = make_tiny(mirrors=(mirror.url,))
    mirror.serve(tiny)
    wrong = idx_bytes(np.zeros((6, 2, 2), np.uint8))
    mirror.answers[f"{tiny.image_set.files[0].name}.gz"] = (200, gzip.compress(wrong))
    with pytest.raises(MissingDataError, match="SHA-256"):
        load_dataset("mnist")
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(
    tmp_path: Path, make_tiny: Make, make_mirror: Callable[[], Mirror], caplog: pytest.LogCaptureFixture
) -> None:
    mirror = make_mirror()
    tiny = make_tiny(mirrors=(mirror.url,))
    mirror.serve(tiny)
    tiny.write(tmp_path / "cache" / "mnist")
    damaged = tmp_path / "cache" / "mnist" / f"{tiny.image_set.files[2].name}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset("mnist", download=False)
    check(tiny)
    assert mirror.asked == [damaged.name]
    assert "downloading it again" in caplog.text


@pytest.mark.parametrize("real", [MNIST, FASHION_MNIST])
def test_descriptions_of_the_real_sets(real: module.ImageSet) -> None:
    assert len(real.mirrors) == 2
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in real.mirrors)
    assert [file.limit_bytes for file in real.files] == [47_040_016, 60_008, 7_840_016, 10_008]
    assert len({file.sha256 for file in real.files}) == 4
    assert all(len(file.sha256) == 64 for file in real.files)
    assert len(real.class_names) == 10


@pytest.mark.skipif(not REAL_DATA_DIR, reason="ACCELNN_DATA_DIR is not set: the real files are not here")
def test_real_mnist() -> None:
    data = load_image_set(MNIST, data_dir=REAL_DATA_DIR, download=False)
    assert data.x_train.shape == (60_000, 784)
    assert data.x_test.shape == (10_000, 784)
    assert data.x_train.dtype == np.uint8
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.n_classes == 10
