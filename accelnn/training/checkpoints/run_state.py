"""Everything that a training run has to remember to go on elsewhere as if nothing had happened."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from accelnn.errors import CheckpointError
from accelnn.network.saving import describe
from accelnn.training.arguments import real_number
from accelnn.training.checkpoints.fingerprint import callback_fingerprint, data_fingerprint, value_fingerprint
from accelnn.training.history import History
from accelnn.training.keeper import Place
from accelnn.training.row_orders import shuffle_of

if TYPE_CHECKING:
    from accelnn.training.fit import Settings, Training


def identity_of(training: Training) -> dict[str, Any]:
    """Return what has to be the same for a run to be resumed: the model, the data and the settings.

    How it is executed is not in it: the backend, the runner, the threads and their precision may change.
    """
    s, backend = training.settings, training.network.backend
    described = describe(training.network)
    validation = training.evaluators.get("validation")
    return {
        "model": {key: described[key] for key in ("layers", "n_in", "dtype", "seed")},
        "data": {"training rows": len(s.rows), **data_fingerprint(training.data, backend)},
        "validation data": None if validation is None else data_fingerprint(validation.data, backend),
        "settings": {
            "loss": s.loss,
            "optimizer": value_fingerprint(training.state.optimizer),
            "epochs": s.epochs,
            "batch_size": s.batch_size,
            "shuffle": shuffle_of(s.order),
            "metrics": sorted({name for e in training.evaluators.values() for name in e.metrics}),
            "callbacks": [callback_fingerprint(callback) for callback in training.callbacks.remembering],
        },
    }


def collected(training: Training, place: Place) -> dict[str, Any]:
    """Return the state of a run at a place; its arrays may be those that go on changing."""
    network, state, to_host = training.network, training.state, training.network.backend.to_host
    return {
        "weights": {"values": to_host(network.arena.values), "state": to_host(network.arena.state)},
        "optimizer": {
            "steps": state.steps,
            "rate": state.rate,
            "moments": [to_host(moment) for moment in state.moments],
        },
        "place": dataclasses.asdict(place),
        "network": {"steps_trained": network.steps_trained, "dropout_seed": network.dropout_seed},
        "history": _history_columns(training.history),
        "callbacks": [callback.state() for callback in training.callbacks.remembering],
        "machine": machine_of(training),
    }


def machine_of(training: Training) -> dict[str, Any]:
    """Return how the steps are executed: what decides about the last digits."""
    history, backend = training.history, training.network.backend
    precision = training.settings.precision if backend.name == "cuda" else None
    return {"backend": backend.name, "runner": history.runner, "threads": history.threads, "precision": precision}


def restore_model(training: Training, saved: Mapping[str, Any]) -> None:
    """Set weights, optimizer and counters to those of ``saved``; all of them or, with CheckpointError, none."""
    network, state, weights = training.network, training.state, saved["weights"]
    arena, moments = network.arena, saved["optimizer"]["moments"]
    given = [weights["values"], weights["state"], *moments]
    expected = [arena.values, arena.state, *state.moments]
    if [(a.shape, a.dtype.name) for a in given] != [(tuple(a.shape), a.dtype.name) for a in expected]:
        raise CheckpointError("the arrays of the checkpoint are not those of this model and optimizer")
    steps, counters = int(saved["optimizer"]["steps"]), saved["network"]
    steps_trained, dropout_seed = int(counters["steps_trained"]), int(counters["dropout_seed"])
    arena.fill(weights["values"], weights["state"])
    state.go_on_from(moments, steps, network)
    network.steps_trained, network.dropout_seed = steps_trained, dropout_seed


def restore_records(training: Training, saved: Mapping[str, Any]) -> None:
    """Set the history, the callbacks and the rate that they have set to what ``saved`` says of them."""
    rate = saved["optimizer"].get("rate")  # which older checkpoints lack
    if rate is not None:
        training.set_learning_rate(rate)
    history = saved["history"]
    training.history.epochs[:] = _records(history)
    training.history.stopped_because = history["stopped_because"]
    for callback, state in zip(training.callbacks.remembering, saved["callbacks"], strict=True):
        callback.restore(state)


def place_in(saved: Mapping[str, Any], settings: Settings) -> Place:
    """Return the place where ``saved`` was made; CheckpointError if a run with these settings has no such place."""
    place, losses = saved["place"], saved["place"]["losses"]
    epoch, step, n_records = int(place["epoch"]), int(place["step"]), len(saved["history"]["values"])
    is_there = 0 <= step <= settings.steps_per_epoch and (0, 0) <= (epoch, step) <= (settings.epochs, 0)
    if not is_there or n_records != epoch or losses.shape != (step,) or losses.dtype != np.float64:
        found = f"epoch {epoch}, step {step}, losses of shape {losses.shape} and {n_records} records"
        raise CheckpointError(f"the checkpoint is of no place in this run: {found}")
    return Place(epoch, step, losses, float(place["seconds"]), bool(place["has_begun"]))


def random_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return the state of a generator."""
    return dict(generator.bit_generator.state)


def generator_with(state: Mapping[str, Any], like: np.random.Generator) -> np.random.Generator:
    """Return a new generator of the kind of ``like`` in this state; CheckpointError if the state is of another kind."""
    bits = type(like.bit_generator)()
    try:
        bits.state = dict(state)
    except (KeyError, TypeError, ValueError) as error:
        kind = type(bits).__name__
        raise CheckpointError(f"the state of the random generator is not one of {kind} ({error})") from error
    return np.random.Generator(bits)


def _history_columns(history: History) -> dict[str, Any]:
    """Return the records as a table: as numbers of a description they would be most of the file."""
    columns = history.keys()
    table = [[real_number(name, record.get(name, math.nan)) for name in columns] for record in history.epochs]
    recorded = [[name in record for name in columns] for record in history.epochs]
    shape = len(history), len(columns)
    return {
        "columns": columns,
        "values": np.array(table, np.float64).reshape(shape),
        "recorded": np.array(recorded, np.bool_).reshape(shape),
        "stopped_because": history.stopped_because,
    }


def _records(history: Mapping[str, Any]) -> list[dict[str, float]]:
    columns = history["columns"]
    rows = zip(history["values"].tolist(), history["recorded"].tolist(), strict=True)
    return [
        {name: value for name, value, known in zip(columns, values, recorded, strict=True) if known}
        for values, recorded in rows
    ]
