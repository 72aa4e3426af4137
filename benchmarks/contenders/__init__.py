"""The contenders. Each module has ``prepare(work, images, labels, device) -> run``.

``run(order)`` trains one round on the rows ``order`` and returns the losses of its steps, or their mean; whatever a
library does once (moving the data, compiling) belongs to ``prepare`` or to the warm-up rounds. A contender that cannot
run here raises :class:`Unavailable` with the reason.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field

from accelnn.arrays.cuda_driver import driver_version

FIRST = "accelnn_fit"
"""The contender whose ratios to the others are reported."""


class Unavailable(Exception):  # noqa: N818 - a reason, not a mistake
    """A contender cannot run on this machine; the message says why, in one line."""


@dataclass(frozen=True)
class Peer:
    """How a contender is started: module, the package it needs, "cpu" or "cuda", more environment variables."""

    module: str
    package: str
    device: str = "cpu"
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that tie the contender's process to its device."""
        if self.device == "cpu":
            tied = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        else:  # several contenders share the GPU, so none may take all of its memory
            tied = {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        return tied | dict(self.variables)

    @property
    def why_missing(self) -> str | None:
        """Why the contender cannot even be started, None if it can."""
        if self.device == "cuda" and driver_version() == 0:
            return "no NVIDIA driver was found"
        return None if importlib.util.find_spec(self.package) else f"{self.package} is not installed"


CONTENDERS = {
    FIRST: Peer("accelnn_fit", "accelnn"),
    "jax_scan": Peer("jax_scan", "jax"),
    "jax_jit": Peer("jax_jit", "jax"),
    "torch_eager": Peer("torch_eager", "torch"),
    "torch_compile": Peer("torch_compile", "torch"),
    "sklearn_mlp": Peer("sklearn_mlp", "sklearn"),
    "keras_jax": Peer("keras_jax", "keras", variables={"KERAS_BACKEND": "jax"}),
    "thinc_mlp": Peer("thinc_mlp", "thinc"),
    "numpy_tutorial": Peer("numpy_tutorial", "numpy"),
    "accelnn_cuda": Peer("accelnn_fit", "cupy", "cuda"),
    "jax_scan_cuda": Peer("jax_scan", "jax", "cuda"),
    "torch_cuda": Peer("torch_eager", "torch", "cuda"),
    "torch_cuda_graph": Peer("torch_cuda_graph", "torch", "cuda"),
    "accelnn_cuda_plain": Peer("accelnn_plain", "cupy", "cuda"),
    "jax_jit_cuda": Peer("jax_jit_resident", "jax", "cuda"),
}
"""All contenders by name; those of "cuda" are skipped with a reason where there is no usable GPU."""
