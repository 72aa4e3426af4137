"""Training: the step and its runners, the loop, optimizers, schedules, callbacks, metrics and the history."""

from accelnn.training import schedules
from accelnn.training.callbacks import Callback
from accelnn.training.checkpoints.checkpoint import Checkpoint
from accelnn.training.history import History
from accelnn.training.metrics import METRICS
from accelnn.training.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Optimizer, RMSprop
from accelnn.training.plateau import ReduceOnPlateau
from accelnn.training.progress import Progress
from accelnn.training.schedules import SCHEDULES, Schedule
from accelnn.training.sequential import Sequential, load_model
from accelnn.training.stopping import EarlyStopping, StopOnTarget, TimeLimit
from accelnn.training.warm_up import warmup

__all__ = [
    "METRICS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Optimizer",
    "Progress",
    "RMSprop",
    "ReduceOnPlateau",
    "Schedule",
    "Sequential",
    "StopOnTarget",
    "TimeLimit",
    "load_model",
    "schedules",
    "warmup",
]
