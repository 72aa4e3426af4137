"""Keeps a training run in checkpoints, and takes it up again from the newest one."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from accelnn_kernels.signals import signals_held

from accelnn.errors import AccelnnError, ArgumentError, CheckpointError, invalid, wrong_type
from accelnn.messages import warn
from accelnn.network.arguments import flag
from accelnn.network.saving import describe
from accelnn.training.callbacks import TrainingPlan
from accelnn.training.checkpoints.background_writer import BackgroundWriter
from accelnn.training.checkpoints.checkpoint import Checkpoint
from accelnn.training.checkpoints.extension import check_epochs
from accelnn.training.checkpoints.file_format import CheckpointFile
from accelnn.training.checkpoints.fingerprint import differences
from accelnn.training.checkpoints.folder import CheckpointFolder
from accelnn.training.checkpoints.run_state import (
    collected,
    generator_with,
    identity_of,
    machine_of,
    place_in,
    random_state,
    restore_model,
    restore_records,
)
from accelnn.training.checkpoints.timing import Timing
from accelnn.training.checkpoints.values import put_together, taken_apart
from accelnn.training.keeper import Keeper, Place
from accelnn.training.stopping import check_planned

if TYPE_CHECKING:
    from accelnn.training.fit import Training

_SHOWN_DIFFERENCES = 8


@contextmanager
def kept(checkpoint: Checkpoint | None, resume: bool) -> Iterator[Keeper]:
    """Return the block of a training run that is kept as ``checkpoint`` says, and taken up again if ``resume``.

    Raises ArgumentError for arguments that do not fit each other or the folder, CheckpointError if the folder cannot be
    used, or holds no checkpoint that can be trusted.
    """
    goes_on = flag("resume", resume)
    if checkpoint is None:
        if goes_on:
            raise invalid("resume", resume, "say from where: give a checkpoint=Checkpoint(directory) too")
        yield Keeper()
        return
    if not isinstance(checkpoint, Checkpoint):
        raise wrong_type("checkpoint", checkpoint, "use a Checkpoint, such as Checkpoint('runs/first')")
    folder = CheckpointFolder(checkpoint.directory, checkpoint.keep)
    folder.hold()
    try:
        if folder.files() and not goes_on:
            fix = "resume=True goes on with the run in it; give another folder for a new run"
            raise invalid("checkpoint", checkpoint, f"the folder has checkpoints already: {fix}")
        yield CheckpointKeeper(checkpoint, folder, folder.newest() if goes_on else None)
    finally:
        folder.release()


class CheckpointKeeper(Keeper):
    """Writes checkpoints to a folder that is held; ``content`` is the one to go on from, or None.

    The state of the run is copied between two chunks, and written by another thread while the next chunk runs.
    """

    def __init__(self, checkpoint: Checkpoint, folder: CheckpointFolder, content: CheckpointFile | None) -> None:
        self._checkpoint, self._folder = checkpoint, folder
        self._saved: Mapping[str, Any] | None = None
        if content is not None:
            with self._understood():
                self._saved = put_together(content.description, content.arrays)
        self._writer = BackgroundWriter()
        self._is_consistent = True
        self.place = Place()
        self._at = 0, 0
        self._began_s = 0.0
        self._order_state: Mapping[str, Any] | None = None
        self._split_state: Mapping[str, Any] | None = None

    def split_generator(self, generator: np.random.Generator) -> np.random.Generator:
        """Return the generator to draw held-out rows with: one that draws what the run drew that is resumed."""
        if self._saved is None:
            self._split_state = random_state(generator)
            return generator
        with self._understood():
            self._split_state = self._saved["random"]["split"]
            return generator_with(self._saved["random"]["split"], generator)

    def begin(self, training: Training) -> None:
        """Compare the run with the one to go on with, and set the model to where that one was."""
        self._training, self._described = training, describe(training.network)
        self._identity = identity_of(training)
        self._timing = Timing(self._checkpoint, training.settings.steps_per_epoch)
        if self._saved is not None:
            with self._understood():
                self._check_identity(self._saved["run"])
                check_epochs(training, self._saved, str(self._folder.path))
                self._restore_model(self._saved)

    def begin_callbacks(self, training: Training, plan: TrainingPlan) -> None:
        """Set callbacks and history to where they were; warn if the digits will differ on this machine."""
        if isinstance(self._checkpoint.best, str):
            check_planned(self._checkpoint.best, plan, "best")
        saved, self._saved = self._saved, None  # its arrays are not needed any more
        self._timing.written(self._at)
        if saved is None:
            return
        with self._understood():
            restore_records(training, saved)
            self._timing.best = saved["best"]
            self._warn_of_another_machine(saved["machine"])
            self._warn_of_an_end(saved["run"]["settings"]["epochs"])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Return the block in which the epochs run; at its end everything is written, after Ctrl-C its state too."""
        try:
            yield
        except KeyboardInterrupt:
            self._write_unfinished()
            raise
        except BaseException as error:
            self._wait_after(error)
            raise
        self._write_unfinished()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Return a block that is done as a whole; Ctrl-C waits for its end, but the second one does not."""
        with signals_held((signal.SIGINT,), insistent=True):
            self._is_consistent = False
            yield
            self._is_consistent = True

    def begin_order(self, seconds: float) -> None:
        """The order of the next epoch is about to be drawn; the epoch has taken so many seconds before."""
        self._order_state = random_state(self._training.network.shuffle_rng)
        self._began_s = time.perf_counter() - seconds

    def last_step(self, epoch: int, first: int, last: int) -> int:
        """Return where the chunk of the steps [first, last) of ``epoch`` should end: where a checkpoint is due."""
        return self._timing.last_step(epoch, first, last)

    def stand_at(self, epoch: int, step: int) -> None:
        """The run is at this place now; called in an undisturbed block."""
        self._at = epoch, step
        if step == 0:
            self._order_state = None

    def after_chunk(self) -> None:
        """Write a checkpoint if one is due; raises CheckpointError if the last one could not be written."""
        self._writer.check()
        if self._timing.is_due(self._at):
            self._write(is_best=False)

    def after_epoch(self, record: dict[str, float], *, is_last: bool) -> None:
        """Write a checkpoint if one is due, the epoch is the best so far or no other follows; raises the same."""
        self._writer.check()
        is_best = self._timing.is_best(self._at[0] - 1, record)
        if is_best or is_last or self._timing.is_due(self._at):
            self._write(is_best=is_best)

    def _write(self, *, is_best: bool) -> None:
        """Copy the state of the run, and let it be written while the run goes on."""
        content = self._content()
        self._writer.start(lambda: self._folder.write(content, is_best=is_best))
        self._timing.written(self._at)

    def _content(self) -> CheckpointFile:
        training, (epoch, step) = self._training, self._at
        has_begun = self._order_state is not None
        seconds = time.perf_counter() - self._began_s if has_begun else 0.0
        order = self._order_state or random_state(training.network.shuffle_rng)
        place = Place(epoch, step, training.losses_so_far[:step], seconds, has_begun)
        state = collected(training, place)
        random = {"split": self._split_state, "order": order}
        state |= {"random": random, "best": self._timing.best, "run": self._identity}
        arrays: dict[str, np.ndarray] = {}
        description = {key: taken_apart(value, key, arrays) for key, value in state.items()}
        return CheckpointFile({"model": self._described, **description}, arrays)

    def _write_unfinished(self) -> None:
        """Write where Ctrl-C or a callback has stopped the run, unless it was in the middle of a step."""
        if self._is_consistent and self._at != self._timing.at:
            self._write(is_best=False)
        self._writer.wait()

    def _wait_after(self, error: BaseException) -> None:
        try:
            self._writer.wait()
        except CheckpointError as failure:
            if failure is not error:
                error.add_note(str(failure))

    def _check_identity(self, before: Mapping[str, Any]) -> None:
        epochs = {"epochs": self._identity["settings"]["epochs"]}  # these may change, see check_epochs
        if not differences({**before, "settings": before["settings"] | epochs}, self._identity):
            return
        found = differences(before, self._identity)
        listed = "; ".join(found[:_SHOWN_DIFFERENCES])
        more = f"; and {len(found) - _SHOWN_DIFFERENCES} more" if len(found) > _SHOWN_DIFFERENCES else ""
        raise ArgumentError(
            f"resume is True and the run in {str(self._folder.path)!r} is another one: {listed}{more}: "
            "use what it was begun with, or another folder"
        )

    def _restore_model(self, saved: Mapping[str, Any]) -> None:
        training, machine = self._training, saved["machine"]
        generator = training.network.shuffle_rng
        order = generator_with(saved["random"]["order"], generator)
        self.place = place_in(saved, training.settings)
        self._at = self.place.epoch, self.place.step
        restore_model(training, saved)
        generator.bit_generator.state = order.bit_generator.state
        if training.settings.threads is None and machine["runner"] == "compiled":
            training.settings = replace(training.settings, threads=int(machine["threads"]))

    def _warn_of_another_machine(self, before: Mapping[str, Any]) -> None:
        found = differences(before, machine_of(self._training))
        if found:
            message = f"the run goes on as before up to rounding, not bit by bit: {'; '.join(found)}"
            warn(message)

    def _warn_of_an_end(self, epochs_before: int) -> None:
        reason, epochs = self._training.history.stopped_because, self._training.settings.epochs
        if reason is not None and epochs != epochs_before:
            message = f"epochs is {epochs}, but a callback has ended the run and nothing is trained: {reason}"
            warn(message)

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Return the block in which a saved state is read: one that does not hold what it should is an error."""
        try:
            yield
        except AccelnnError:
            raise
        except (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            message = f"the checkpoint in {str(self._folder.path)!r} does not hold the state of a run ({reason})"
            raise CheckpointError(message) from error
