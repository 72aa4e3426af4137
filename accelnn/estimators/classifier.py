"""A classifier that can take the place of ``sklearn.neural_network.MLPClassifier``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from accelnn.arrays.float_errors import own_float_errors
from accelnn.errors import ArgumentError
from accelnn.estimators.base import MultilayerPerceptron, trains_by_steps
from accelnn.estimators.labels import Labels, accuracy
from accelnn.estimators.training import Task
from accelnn.signatures import answering
from accelnn.training.data import TrainingData


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """A multilayer perceptron that predicts classes: one, one of several, or several at once.

    From the same ``random_state`` it trains as ``sklearn.neural_network.MLPClassifier`` does, up to rounding.

    Args:
        hidden_layer_sizes: widths of the hidden layers, integers >= 1; may be empty.
        activation: of the hidden layers: ``"identity"``, ``"logistic"`` (here also ``"sigmoid"``), ``"tanh"``,
            ``"relu"``, or any other of accelnn. A tuple has one for each hidden layer.
        solver: ``"adam"`` and ``"sgd"`` train by mini-batches, ``"lbfgs"`` on all rows at once, for small data.
        alpha: >= 0, factor of the penalty ``alpha / 2 * sum W^2``, which is divided by the rows of the batch.
        batch_size: rows of a mini-batch, >= 1; ``"auto"`` is 200, or all rows if there are fewer.
        learning_rate: of ``"sgd"``: ``"constant"``; ``"invscaling"``, divided by (rows seen + 1) ^ ``power_t`` after
            each epoch; or ``"adaptive"``, divided by 5 whenever nothing has improved for ``n_iter_no_change`` epochs.
        learning_rate_init: > 0, the first learning rate.
        power_t: >= 0, see ``learning_rate``.
        max_iter: >= 1, the largest number of epochs, or of iterations of ``"lbfgs"``.
        shuffle: whether to train on the rows in a new order in each epoch.
        random_state: decides first weights, held-out rows and orders: an integer, a ``numpy.random.RandomState`` or
            None. The numbers are those of scikit-learn.
        tol: >= 0, what the loss has to fall by, or the validation score to rise by, to count as better. For ``"lbfgs"``
            the largest gradient at which it ends.
        verbose: whether to print a line after each epoch.
        warm_start: whether ``fit`` goes on from the weights there are.
        momentum: of ``"sgd"``, in [0, 1].
        nesterovs_momentum: whether that is Nesterov's.
        early_stopping: whether to hold out rows, stop when their score gets no better or the loss is not finite, and
            return to the best weights.
        validation_fraction: which part of the rows to hold out, in [0, 1).
        beta_1: of ``"adam"``, in [0, 1): how the mean of the gradients forgets.
        beta_2: of ``"adam"``, in [0, 1): the same for their squares.
        epsilon: of ``"adam"``, >= 1e-15, added to the root of that mean.
        n_iter_no_change: >= 1, epochs in a row without improvement after which to stop, or infinity.
        max_fun: >= 1, the largest number of evaluations by ``"lbfgs"``.
        backend: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or a ``Backend``.
        dtype: ``"float32"`` or ``"float64"``, of all computations; None takes float32 for float32 data, else float64.
        dropout: rate in [0, 1) behind each hidden layer, or a tuple with one for each of them.
        optimizer: an optimizer of accelnn, or its name (then with ``learning_rate_init``), in place of ``solver``.
        schedule: a learning-rate schedule of accelnn in place of ``learning_rate``.
        class_weight: ``{label: number >= 0}``, or ``"balanced"`` for weights inverse to the frequency of a class.
        callbacks: one or more callbacks of accelnn; their ``model`` is the ``Sequential`` behind the estimator.

    Attributes:
        classes_: labels, sorted (n_classes,).
        coefs_, intercepts_: weights (n_in, n_out) and biases (n_out,) of each layer, on the host.
        loss_, best_loss_, loss_curve_: loss of the last epoch, the lowest one, and of all epochs.
        validation_scores_, best_validation_score_, validation_loss_curve_: the same of the validation rows; None if
            there are none. The score is the accuracy.
        n_iter_, t_: epochs of the last ``fit`` or iterations; rows seen, over all epochs.
        n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_: as in scikit-learn.

    Example:
        >>> from accelnn import MLPClassifier
        >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["no", "yes", "yes", "no"]
        >>> classifier = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=1).fit(X, y)
        >>> classifier.predict(X).tolist()
        ['no', 'yes', 'yes', 'no']
    """

    _labels: Labels

    @answering
    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        backend: Any = "auto",
        dtype: str | None = None,
        dropout: Any = 0.0,
        optimizer: Any = None,
        schedule: Any = None,
        class_weight: Any = None,
        callbacks: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.backend = backend
        self.dtype = dtype
        self.dropout = dropout
        self.optimizer = optimizer
        self.schedule = schedule
        self.class_weight = class_weight
        self.callbacks = callbacks

    @answering
    def fit(self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None) -> MLPClassifier:
        """Train from new weights, or from those there are with ``warm_start``.

        Args:
            X: inputs (n, n_features): an array, a data frame, or a sparse matrix.
            y: labels (n,), or indicators (n, n_classes) of 0 and 1 where a row may have several.
            sample_weight: (n,) numbers >= 0.
            X_val: rows to measure after each epoch, and for ``early_stopping`` in place of a part of ``X``.
            y_val: their labels.

        Raises:
            ParameterError: a parameter of the constructor cannot be used.
            ValueError: an argument cannot be used.
            DivergenceError: a loss became NaN or infinite, and early stopping had no good epoch to go back to.

        """
        self._fit(X, y, sample_weight, (X_val, y_val), incremental=False)
        return self

    @available_if(trains_by_steps)
    @answering
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one pass over ``X (n, n_features)`` and ``y``; weights and solver go on where they were.

        ``classes``: all labels that will ever occur, to be given in the first call. With ``early_stopping`` a part of
        the rows is held out and measured: ``validation_scores_`` grows by one, and when to stop is yours to decide.
        Otherwise as ``fit``.
        """
        self._fit(X, y, sample_weight, incremental=True, classes=classes)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the labels (n,) for ``X (n, n_features)``, or indicators (n, n_classes) of several labels."""
        outputs = self._outputs(X)
        return self._labels.decode(outputs)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, (n, n_classes) in the order of ``classes_``."""
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self._labels.kind == "binary" else outputs

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of ``predict_proba(X)``; they are exact where a probability is too small to be told."""
        scores = self._outputs(X, scores=True)
        with own_float_errors():
            if self._labels.kind == "multiclass":
                shifted = scores - scores.max(axis=1, keepdims=True)
                return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
            logs = -np.logaddexp(0, -scores)
            return np.hstack([-np.logaddexp(0, scores), logs]) if self._labels.kind == "binary" else logs

    def _learn_classes(self, y: Any, classes: Any) -> None:
        """Take the classes of the first call, and refuse others later."""
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ArgumentError("classes must be passed on the first call to partial_fit.")
            several = Labels.of(y) if np.ndim(y) == 2 and np.shape(y)[1] > 1 else None
            self._labels = several or Labels.of(np.unique(classes))
            self.classes_ = self._labels.classes
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ArgumentError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )

    def _encode(self, y: np.ndarray, dtype: str, *, first: bool, incremental: bool) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if first and not incremental:
            self._labels = Labels.of(y)
            self.classes_ = self._labels.classes
        elif not incremental and set(Labels.of(y).classes) != set(self.classes_):
            raise ArgumentError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {Labels.of(y).classes}"
            )
        return self._labels.encode(y, dtype)

    def _n_outputs(self, targets: np.ndarray) -> int:
        return self._labels.n_outputs

    def _output_activation(self) -> str:
        return self._labels.output_activation

    def _is_binary(self) -> bool:
        return self._labels.kind == "binary"

    def _task(self, data: TrainingData, rows: np.ndarray, validation: TrainingData | None) -> Task:
        loss = "cross_entropy" if self._labels.kind == "multiclass" else "binary_cross_entropy"
        weights = None if validation is None else validation.weights
        return Task(data, rows, validation, lambda outputs, targets: accuracy(outputs, targets, weights), loss)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
