"""The arrays floor: backends, the reference formulas, and the operations built from them."""

from accelnn.arrays.backend import Backend, get_backend
from accelnn.arrays.environment import describe_environment, usable_threads
from accelnn.arrays.fused import FusedOps
from accelnn.arrays.ops import PlainOps

__all__ = ["Backend", "FusedOps", "PlainOps", "describe_environment", "get_backend", "usable_threads"]
