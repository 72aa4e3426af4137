"""accelnn through its plain runner: array code, on a GPU that of CuPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.contenders import Unavailable
from benchmarks.contenders.accelnn_fit import prepare_runner
from benchmarks.work import Work


def prepare(work: Work, images: np.ndarray, labels: np.ndarray, device: str) -> Callable[[np.ndarray], np.ndarray]:
    if work.precision != "float32":
        raise Unavailable("the plain runner computes in float32")
    return prepare_runner("plain", work, images, labels, device)
