"""A regressor that can take the place of ``sklearn.neural_network.MLPRegressor``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import xlogy
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from accelnn.arrays.foreign import packed
from accelnn.errors import invalid
from accelnn.estimators.base import MultilayerPerceptron, trains_by_steps
from accelnn.estimators.training import Task
from accelnn.signatures import answering
from accelnn.training.data import TrainingData

# The losses here are means over the outputs of a row, those of scikit-learn sums; its squared error is half of that.
LOSSES = {
    "squared_error": ("mse", 0.5),
    "poisson": ("poisson", 1.0),
    "absolute_error": ("mae", 1.0),
    "huber": ("huber", 1.0),
}


class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """A multilayer perceptron that predicts numbers, one or several for each row.

    From the same ``random_state`` it trains as ``sklearn.neural_network.MLPRegressor`` does, up to rounding. With
    several outputs ``loss_`` is the number that is minimised, a sum over them; scikit-learn reports their mean.

    Args:
        loss: ``"squared_error"`` (half of it), ``"poisson"`` (half the deviance; the output is an exponential),
            ``"absolute_error"`` or ``"huber"`` (quadratic up to an error of 1, linear beyond).
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
        callbacks: one or more callbacks of accelnn; their ``model`` is the ``Sequential`` behind the estimator.

    Attributes:
        coefs_, intercepts_: weights (n_in, n_out) and biases (n_out,) of each layer, on the host.
        loss_, best_loss_, loss_curve_: loss of the last epoch, the lowest one, and of all epochs.
        validation_scores_, best_validation_score_, validation_loss_curve_: the same of the validation rows; None if
            there are none. The score is the coefficient of determination.
        n_iter_, t_: epochs of the last ``fit`` or iterations; rows seen, over all epochs.
        n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_: as in scikit-learn.

    Example:
        >>> import numpy as np
        >>> from accelnn import MLPRegressor
        >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
        >>> y = np.sin(3 * X[:, 0])
        >>> regressor = MLPRegressor("squared_error", (10,), "tanh", solver="lbfgs", random_state=0).fit(X, y)
        >>> float(regressor.score(X, y)) > 0.99
        True
    """

    @answering
    def __init__(
        self,
        loss: str = "squared_error",
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
        callbacks: Any = None,
    ) -> None:
        self.loss = loss
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
        self.callbacks = callbacks

    @answering
    def fit(self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None) -> MLPRegressor:
        """Train from new weights, or from those there are with ``warm_start``.

        Args:
            X: inputs (n, n_features): an array, a data frame, or a sparse matrix.
            y: numbers (n,) or (n, n_outputs).
            sample_weight: (n,) numbers >= 0.
            X_val: rows to measure after each epoch, and for ``early_stopping`` in place of a part of ``X``.
            y_val: their numbers.

        Raises:
            ParameterError: a parameter of the constructor cannot be used.
            ValueError: an argument cannot be used.
            DivergenceError: a loss became NaN or infinite, and early stopping had no good epoch to go back to.

        """
        self._fit(X, y, sample_weight, (X_val, y_val), incremental=False)
        return self

    @available_if(trains_by_steps)
    @answering
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one pass over ``X (n, n_features)`` and ``y``; weights and solver go on where they were.

        With ``early_stopping`` a part of the rows is held out and measured: ``validation_scores_`` grows by one, and
        when to stop is yours to decide. Otherwise as ``fit``.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return numbers (n,), or (n, n_outputs_) if there are several, for ``X (n, n_features)``."""
        outputs = self._outputs(X)
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def _encode(self, y: np.ndarray, dtype: str, *, first: bool, incremental: bool) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        targets: np.ndarray = packed(y.reshape(len(y), -1), dtype)
        if self.loss == "poisson" and targets.min() < 0:
            raise invalid("y", float(targets.min()), "loss='poisson' is for counts >= 0")
        if not first and targets.shape[1] != self.n_outputs_:
            raise invalid("y", f"of {targets.shape[1]} columns", f"use {self.n_outputs_}, as before")
        return targets

    def _output_activation(self) -> str:
        return "exponential" if self.loss == "poisson" else "identity"

    def _task(self, data: TrainingData, rows: np.ndarray, validation: TrainingData | None) -> Task:
        loss, factor = LOSSES[self.loss]
        weights = None if validation is None else validation.weights

        def score(outputs: np.ndarray, targets: np.ndarray) -> float:
            if not np.isfinite(outputs).all():
                return float("nan")
            return float(r2_score(targets, outputs, sample_weight=weights))

        task = Task(data, rows, validation, score, loss, factor * self.n_outputs_)
        if self.loss == "poisson":
            return replace(task, constant=_poisson_constant)
        # Here the loss is a sum over the outputs; tol is meant for their mean, which scikit-learn reports.
        return replace(task, tolerance=float(self.n_outputs_))


def _poisson_constant(targets: np.ndarray, weights: np.ndarray | None) -> float:
    """Return what the loss leaves out because it does not depend on the prediction: then its minimum is 0."""
    y = targets.astype(np.float64)
    return float(np.average(xlogy(y, y) - y, weights=weights, axis=0).sum())
