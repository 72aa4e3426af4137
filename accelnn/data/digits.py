"""The handwritten digits that scikit-learn carries with it: no file, no network."""

from __future__ import annotations

import numpy as np

from accelnn.data.dataset import Dataset, Rows, split_dataset


def load_digits(*, seed: int, test_fraction: float) -> Dataset:
    """Return 1,797 pictures of 8 x 8 pixels: uint8 in 0..16 (``scale`` 1/16), ten classes.

    They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI
    Machine Learning Repository, 1998). ``seed`` fixes the random split, ``test_fraction`` its size.
    """
    from sklearn.datasets import load_digits as load

    x, y = load(return_X_y=True)
    return split_dataset(
        "digits",
        Rows(x.astype(np.uint8), y),
        test_fraction=test_fraction,
        seed=seed,
        source="scikit-learn load_digits",
        scale=1 / 16,
        class_names=tuple("0123456789"),
    )
