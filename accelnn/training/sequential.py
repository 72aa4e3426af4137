"""The model that users train: a network with ``fit``, ``evaluate`` and ``predict``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from accelnn.arrays.backend import Backend
from accelnn.arrays.float_errors import own_float_errors
from accelnn.arrays.namespace import namespace
from accelnn.arrays.typing import Array
from accelnn.errors import about, invalid
from accelnn.network.arguments import flag, integer
from accelnn.network.layers.base import Layer
from accelnn.network.losses import check_pair, resolve_loss
from accelnn.network.network import Network
from accelnn.network.saving import restore, save
from accelnn.signatures import answering
from accelnn.training.arguments import checked_batch_size, checked_threads
from accelnn.training.callbacks import Callback, CallbackList
from accelnn.training.checkpoints.checkpoint import Checkpoint
from accelnn.training.checkpoints.run_keeper import kept
from accelnn.training.checkpoints.saved_model import read_saved_model
from accelnn.training.chunks import LossOfChunks, chunks_of, rows_of_chunks
from accelnn.training.evaluation import Evaluator
from accelnn.training.exclusive import alone
from accelnn.training.fit import OptimizerState, Settings, Training
from accelnn.training.held_out import evaluators_of, split_rows, validation_rows
from accelnn.training.history import History
from accelnn.training.inputs import checked_data, checked_x, learn_names
from accelnn.training.metrics import MetricSpec, resolve_metrics
from accelnn.training.optimizers import Optimizer, resolve_optimizer
from accelnn.training.progress import Progress
from accelnn.training.row_orders import checked_shuffle, row_order
from accelnn.training.runners.choice import check_runner, choose_predictor
from accelnn.training.runners.precision import checked_precision

_USUAL_LOSSES = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy", "exponential": "poisson"}


class Sequential(Network):
    """A network of layers one after the other that can be trained.

    Args:
        layers: one layer or more, from the input to the output; a layer belongs to one model.
        n_in: number of inputs; None takes it from the first data.
        dtype: ``"float32"`` or ``"float64"``, of all computations.
        backend: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or a ``Backend``.
        seed: integer >= 0 that decides the initial weights, the order of the rows and the dropout masks; None takes a
            new one from the operating system.

    ``history`` is that of the last ``fit``, None before it.

    Example:
        >>> from accelnn import Dense, Sequential
        >>> model = Sequential([Dense(8, "tanh"), Dense(1, "sigmoid")], seed=0)
        >>> x = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
        >>> history = model.fit(x, [0, 1, 1, 0], epochs=300, batch_size=None, optimizer="adam", learning_rate=0.05)
        >>> model.predict(x).tolist()
        [0, 1, 1, 0]
    """

    history: History | None = None
    _loss: str | None = None
    _state: OptimizerState | None = None

    @answering
    def fit(
        self,
        x: Any,
        y: Any,
        *,
        loss: str | None = None,
        optimizer: str | Optimizer = "adam",
        learning_rate: Any = None,
        epochs: int = 10,
        batch_size: int | str | None = "auto",
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        shuffle: bool | str = True,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | str | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        metrics: Iterable[MetricSpec] | MetricSpec = (),
        verbose: int | bool = 1,
        runner: str = "auto",
        threads: int | None = None,
        precision: str | None = None,
        checkpoint: Checkpoint | None = None,
        resume: bool = False,
        detect_anomaly: bool = False,
    ) -> History:
        """Train the model from its present weights on and return what happened.

        The optimizer starts afresh at every call; ``partial_fit`` lets it go on.

        Args:
            x: inputs (n, n_in), real numbers: a NumPy array (also memory-mapped), nested lists, a data frame, whose
                names are checked from then on, or an array with DLPack or the CUDA array interface (CuPy, PyTorch,
                JAX), on the host or the model's device. uint8, float32 and float64 are used as and where they are.
            y: labels (n,) in 0..n_out-1 or rows (n, n_out) for ``cross_entropy``; else targets (n, n_out), or (n,) for
                one output.
            loss: name of a loss; None takes the one that belongs to the output activation (``cross_entropy`` to
                softmax, ``binary_cross_entropy`` to sigmoid, ``poisson`` to exponential, else ``mse``).
            optimizer: name or instance.
            learning_rate: number > 0 or a schedule that replaces that of ``optimizer``; None keeps it.
            epochs: passes over the data, >= 0.
            batch_size: rows of a mini-batch, >= 1, at most all, with a warning; ``"auto"`` takes 32, or all where there
                are fewer; None takes all (full-batch gradient descent). A last, partial batch is trained on too. With
                BatchNorm it must be >= 2, and grows, with a warning, where the last batch would have a single row.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)`` to evaluate on after each epoch.
            validation_split: fraction of the rows, in [0, 1), drawn at random with the model's seed, to hold out for
                validation instead. Of a classification (softmax or sigmoid, rows of one class) each class has its share
                of them, and a row at least if there is one for each class; a row of each class stays in training.
            shuffle: draw a new order of the rows for each epoch, any of all. ``"blocks"`` draws one in which rows that
                lie side by side are read close together, for memory-mapped files on spinning disks.
            sample_weight: (n,) numbers >= 0; the loss is a weighted mean.
            class_weight: ``{label: number >= 0}`` or ``"balanced"``, multiplied into the weights.
            callbacks: one or more callbacks.
            metrics: names, or functions ``(output, target) -> float``, evaluated after each epoch on the training rows
                (as ``accuracy``, with the weights as they are then) and on the validation data (as ``val_accuracy``).
            verbose: 0 is silent; 1 shows progress on standard error once it takes longer than a second; 2 writes one
                line per epoch. Both write a line where code has to be compiled first.
            runner: ``"auto"``, ``"compiled"`` (for a CPU), ``"captured"`` (for CUDA) or ``"plain"``.
            threads: at most so many threads, >= 1, for each step of the compiled runner; None takes as many as pay.
                It takes no more than ``ACCELNN_NUM_THREADS`` and the machine allow.
            precision: how precisely a CUDA device may compute the matrix products of a float32 model: ``"float32"``,
                ``"tf32"`` (10 bits of mantissa) or ``"bf16"`` (activations in bfloat16). Weights, gradients and the
                optimizer stay float32. None is the model's dtype. A CPU computes in the model's dtype whatever it may.
            checkpoint: where and how often to keep the state of the run, so that it can be resumed after a crash.
            resume: go on with the run in the folder of ``checkpoint``, to the same weights as if it had never been
                interrupted; where there is none yet, begin it. Everything else must be as it was, except for backend,
                runner, threads, precision, and ``epochs`` if the learning rates do not depend on them: more epochs
                extend a run that was over. False begins a new run, in a folder without checkpoints.
            detect_anomaly: look at the result of every operation and stop at the first that is not finite, naming its
                layer. It takes the plain runner, so this is for finding out why a run fails.

        Returns:
            The history, also kept as ``model.history``; after Ctrl-C too, with ``interrupted`` set and a warning.

        Raises:
            ArgumentError, ArgumentTypeError, ShapeError: an argument, which is named, is unusable or on another device.
            DivergenceError: a loss, or a weight by the end of an epoch, became NaN or infinite; the message names the
                step, its learning rate, and where it began as far as that can be found out. A warning, where a callback
                such as ``EarlyStopping`` goes back to weights that are good.
            CheckpointError: a checkpoint cannot be written or trusted, or another run uses the folder.
            InTrainingError: a callback of the model, or another thread, wants to train it while it is being trained.
        """
        chosen = resolve_optimizer(optimizer, learning_rate)
        chosen_metrics = resolve_metrics(metrics)
        progress = Progress(verbose)
        # The progress display comes last, so that it shows what the others did.
        observers = CallbackList([*CallbackList(callbacks).callbacks, *([progress] if progress.verbose else [])])
        n_epochs = integer("epochs", epochs, minimum=0)
        mixing = checked_shuffle(shuffle)
        check_runner(runner)
        if flag("detect_anomaly", detect_anomaly) and runner not in ("auto", "plain"):
            raise invalid("runner", runner, "leave it out: detect_anomaly=True takes the plain one")
        limit, products = checked_threads(threads), checked_precision(precision, self.dtype)
        name = self._checked_loss(loss)
        with own_float_errors():
            data = checked_data(x, y, self, name, sample_weight, class_weight)
        with alone(self), own_float_errors(), kept(checkpoint, resume) as keeper, progress.announcing():
            generator = keeper.split_generator(self.shuffle_rng)
            rows, held_out = split_rows(self, data, validation_data, validation_split, generator)
            validation = validation_rows(self, data, held_out, validation_data, name)
            size = checked_batch_size(batch_size, len(rows), self)
            order = row_order(mixing, self.shuffle_rng, data.row_bytes)
            settings = Settings(
                name, n_epochs, size, order, runner, rows, limit, products, detect_anomaly=bool(detect_anomaly)
            )
            evaluators = evaluators_of(self, data, settings, validation, chosen_metrics)
            learn_names(x, self)
            self._loss, self._state, self.history = name, OptimizerState.fresh(chosen, self), History()
            return Training(self, data, settings, self._state, observers, evaluators, self.history, keeper).run()

    @answering
    def partial_fit(
        self,
        x: Any,
        y: Any = None,
        *,
        loss: str | None = None,
        optimizer: str | Optimizer | None = None,
        batch_size: int | str | None = "auto",
        shuffle: bool | str = True,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | str | None = None,
        runner: str = "auto",
        threads: int | None = None,
        precision: str | None = None,
    ) -> float:
        """Train for one pass over ``x`` and ``y``, letting the optimizer go on where it was; return the loss.

        Arguments and errors are those of ``fit``. ``loss`` and ``optimizer`` None keep those of the call before; the
        first call takes the defaults of ``fit``. A schedule sees one epoch in every call.

        ``x`` may also be an iterator, such as a generator, of chunks ``(x, y)`` or ``(x, y, sample_weight)``, without
        ``y``: they are trained on one after the other, each as if it were a call of its own, and the loss is that of
        all. Rows are shuffled within their chunk.
        """
        mixing = checked_shuffle(shuffle)
        check_runner(runner)
        limit, products = checked_threads(threads), checked_precision(precision, self.dtype)
        chosen = None if optimizer is None else resolve_optimizer(optimizer)
        name = self._checked_loss(self._loss if loss is None else loss)
        total = LossOfChunks(name)
        with alone(self), own_float_errors():
            for chunk in chunks_of(x, y, sample_weight):
                with about(chunk.name):
                    data = checked_data(chunk.x, chunk.y, self, name, chunk.sample_weight, class_weight)
                    size = checked_batch_size(batch_size, len(data), self, is_chunk=bool(chunk.name))
                if self._state is None or (chosen is not None and chosen != self._state.optimizer):
                    self._state = OptimizerState.fresh(chosen or resolve_optimizer("adam"), self)
                learn_names(chunk.x, self)
                self._loss = name
                order = row_order(mixing, self.shuffle_rng, data.row_bytes)
                settings = Settings(name, 1, size, order, runner, np.arange(len(data)), limit, products)
                history = Training(self, data, settings, self._state, CallbackList()).run()
                if history.interrupted or not len(history):
                    return float("nan")
                total.add(history["loss"][-1], data)
        return total.value

    @answering
    def evaluate(
        self,
        x: Any,
        y: Any,
        *,
        loss: str | None = None,
        metrics: Iterable[MetricSpec] | MetricSpec = (),
        sample_weight: Any = None,
    ) -> dict[str, float]:
        """Return the loss and the metrics on ``x`` and ``y``, as ``{"loss": ..., "accuracy": ...}``.

        ``loss`` None takes that of the last training, or the one that belongs to the output activation. The loss has
        no penalties, dropout is off. Raises as ``fit`` does, and NotBuiltError before the model has weights.
        """
        self.count_parameters()  # raises before the model is built: there is nothing to evaluate
        name = self._checked_loss(self._loss if loss is None else loss)
        with own_float_errors():
            data = checked_data(x, y, self, name, sample_weight)
            return Evaluator(self, data, name, resolve_metrics(metrics)).evaluate()

    @answering
    def __call__(self, x: Any, *, to_host: bool = True) -> Array:
        """Return the outputs (n, n_out) for ``x (n, n_in)``, in the model's dtype; ``to_host`` as in ``predict``."""
        return self._outputs(x, to_host)

    @answering
    def predict(self, x: Any, *, to_host: bool = True) -> Array:
        """Return predictions for ``x (n, n_in)``, a new array.

        With a softmax output: the labels, int64 (n,). With a sigmoid output: 0 or 1, int64, (n,) for one output, else
        (n, n_out). Otherwise: the outputs, (n, n_out), in the model's dtype. It is a NumPy array, or with ``to_host``
        False one of the model's backend: of CuPy, on its device, if that is CUDA. ``x`` is as in ``fit``, or an
        iterator of such arrays, whose predictions follow one another.
        """
        output = self._outputs(x, to_host)
        with self.backend.active():
            if self.output_activation == "softmax":
                return output.argmax(axis=1)
            if self.output_activation == "sigmoid":
                decided = (output > 0.5).astype(np.int64)
                return decided.reshape(-1) if self.n_out == 1 else decided
            return output

    @answering
    def predict_proba(self, x: Any, *, to_host: bool = True) -> Array:
        """Return probabilities (n, n_out) for ``x (n, n_in)``, in the model's dtype; ``to_host`` as in ``predict``.

        Raises ArgumentError if the model does not end in softmax or sigmoid: its outputs are not probabilities.
        """
        if self.output_activation not in ("softmax", "sigmoid"):
            fix = "end the network in 'softmax' or 'sigmoid', or use predict"
            raise invalid("the output activation", self.output_activation, fix)
        return self._outputs(x, to_host)

    def layer_outputs(self, x: Any) -> list[np.ndarray]:
        """Return the outputs (n, width) of every layer for ``x (n, n_in)``, in order: host arrays of the model's dtype.

        To look into a network: all of them are in memory at once, and nothing is compiled. Raises as ``predict`` does.
        """
        self.count_parameters()  # raises before the model is built
        context, outputs = self.context(), []
        with own_float_errors(), self.backend.active():
            values = self.backend.xp.astype(self.backend.asarray(checked_x(x, self)), self._float)  # a copy
            for layer in self.layers:
                values = layer.forward(values, context)
                outputs.append(np.array(self.backend.to_host(values)))
        return outputs

    @answering
    def save(self, path: str | os.PathLike[str], *, extra: Mapping[str, Any] | None = None) -> None:
        """Write the layers and their weights to one file; ``accelnn.load_model`` reads it.

        ``extra`` is a mapping that JSON can hold, kept beside. The optimizer's state is not saved. Errors are those of
        ``accelnn.network.save``.
        """
        save(self, path, extra=extra)

    def _outputs(self, x: Any, to_host: bool) -> Array:
        self.count_parameters()  # raises before the model is built
        is_for_host = flag("to_host", to_host)
        with own_float_errors():
            outputs = [self._outputs_of(rows, is_for_host) for rows in rows_of_chunks(x)]
        with self.backend.active():
            return outputs[0] if len(outputs) == 1 else namespace(outputs[0]).concatenate(outputs)

    def _outputs_of(self, x: Any, is_for_host: bool) -> Array:
        rows = checked_x(x, self)
        predictor = choose_predictor(self, rows)
        return predictor.predict(rows) if is_for_host else predictor.predict_on_backend(rows)

    def _checked_loss(self, loss: str | None) -> str:
        formula = resolve_loss(_USUAL_LOSSES.get(self.output_activation, "mse") if loss is None else loss)
        check_pair(formula, self.output_activation)
        return formula.name

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the optimizer's state: a copy starts its optimizer afresh."""
        return super().__getstate__() | {"_state": None}


def load_model(
    path: str | os.PathLike[str],
    *,
    best: bool = True,
    backend: str | Backend = "auto",
    custom_layers: Mapping[str, type[Layer]] | None = None,
) -> Sequential:
    """Return the model that ``Sequential.save`` wrote to ``path``; nothing in the file is executed.

    ``path`` may also be a folder of checkpoints, which a run may be using: the model then has the weights of the best
    one, or with ``best`` False those of the newest. ``custom_layers`` maps the class names of layers of your own to the
    classes.

    Raises:
        ModelFileError: a file that is missing, damaged or not a model, a folder without checkpoints, or a custom layer
            that is not given.
        CheckpointError: a folder in which no checkpoint can be trusted.

    """
    saved = read_saved_model(path, best=flag("best", best))
    return restore(saved, Sequential, backend=backend, custom_layers=custom_layers)
