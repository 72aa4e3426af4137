"""What classifier and regressor have in common: one call of ``fit`` from checked arguments to fitted attributes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from accelnn import __version__
from accelnn.arrays.backend import Backend, get_backend
from accelnn.arrays.float_errors import own_float_errors
from accelnn.errors import ArgumentError, DivergenceError, about, invalid
from accelnn.estimators.convergence import CURVES, begin_curves, continue_curves
from accelnn.estimators.initial_weights import initial_weights
from accelnn.estimators.inputs import as_rows, checked_data, checked_inputs, computing_dtype, row_weights
from accelnn.estimators.networks import SCIKIT_OUTPUTS, load, made_of, make_network, penalize, unloaded, usable_backend
from accelnn.estimators.parameters import (
    STEP_SOLVERS,
    check_parameters,
    check_widths,
    drawing_activations,
    hidden_sizes,
)
from accelnn.estimators.solvers import SolverState
from accelnn.estimators.training import Task, train_by_lbfgs, train_by_steps
from accelnn.messages import warn
from accelnn.training.data import TrainingData
from accelnn.training.exclusive import alone
from accelnn.training.held_out import check_weights
from accelnn.training.runners.choice import choose_predictor
from accelnn.training.sequential import Sequential

RANDOM_SEEDS = 2**31

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
"""What scikit-learn says then; programs look for it."""

_VERSION = "_accelnn_version"
"""Where a pickle says which version of accelnn has written it; an estimator has no such attribute."""


class MultilayerPerceptron(BaseEstimator):
    """Base of the estimators. Constructors keep their arguments; everything is checked and made by ``fit``."""

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    _network: Sequential | None = None
    _network_of: tuple[Any, ...] = ()
    _best_weights: list[np.ndarray] | None = None
    _last_weights: list[np.ndarray] | None = None
    _solver: SolverState | None = None

    @abstractmethod
    def _encode(self, y: np.ndarray, dtype: str, *, first: bool, incremental: bool) -> np.ndarray:
        """Return the targets of the network; ``first`` learns what ``y`` is about."""

    def _learn_classes(self, y: Any, classes: Any) -> None:
        """Learn which classes there will be before the first ``partial_fit``."""

    @abstractmethod
    def _output_activation(self) -> str:
        """Return the activation of the outputs."""

    @abstractmethod
    def _task(self, data: TrainingData, rows: np.ndarray, validation: TrainingData | None) -> Task:
        """Return what to learn from the data."""

    def _fit(self, X: Any, y: Any, sample_weight: Any, *more: Any, **options: Any) -> None:
        """Train a copy and take over what it has learned; a call that fails leaves the estimator as it was.

        Arguments are those of ``_train_on``.
        """
        with alone(self), own_float_errors():
            before = dict(self.__dict__)
            trained = self._copied()
            trained._train_on(X, y, sample_weight, *more, **options)
        after = trained.__dict__
        for name in before.keys() - after.keys():
            self.__dict__.pop(name, None)
        self.__dict__.update({name: value for name, value in after.items() if before.get(name, self) is not value})

    def _copied(self) -> MultilayerPerceptron:
        """Return a copy to train: it has curves of its own, and takes the network, which a training fills anew."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        for name in CURVES:
            if getattr(self, name, None) is not None:
                setattr(copied, name, list(getattr(self, name)))
        self.__dict__.pop("_network", None)  # a callback may predict, with another network than the one in training
        return copied

    def _train_on(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: tuple[Any, Any] = (None, None),
        *,
        incremental: bool,
        classes: Any = None,
    ) -> None:
        check_parameters(self)
        self._check_validation(*validation)
        if incremental:
            self._learn_classes(y, classes)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        numeric = self.__sklearn_tags__().estimator_type == "regressor"
        X, y = checked_data(self, X, y, reset=first, y_numeric=numeric)
        dtype = computing_dtype(self.dtype, X) if first else self.coefs_[0].dtype.name
        targets = self._encode(y, dtype, first=first, incremental=incremental)
        weights = row_weights(getattr(self, "class_weight", None), sample_weight, X, y, incremental=incremental)
        random = check_random_state(self.random_state)
        if first:
            self._begin(X.shape[1], targets, dtype, random)
        else:
            check_widths(self)
        data = TrainingData(as_rows("X", X, dtype), targets, weights)
        task = self._split(data, y, validation, random)
        self._train(task, random, incremental=incremental)

    def _begin(self, n_features: int, targets: np.ndarray, dtype: str, random: np.random.RandomState) -> None:
        """Draw the first weights and set what a training counts."""
        activation = self._output_activation()
        self.out_activation_ = SCIKIT_OUTPUTS.get(activation, activation)
        self.n_outputs_ = self._n_outputs(targets)
        units = [n_features, *hidden_sizes(self), self.n_outputs_]
        self.n_layers_, self.n_iter_, self.t_ = len(units), 0, 0
        self.coefs_, self.intercepts_ = initial_weights(units, drawing_activations(self), random, dtype)
        self._network = self._solver = None
        if self._uses_steps():
            begin_curves(self)

    def _n_outputs(self, targets: np.ndarray) -> int:
        return int(targets.shape[1])

    def _uses_steps(self) -> bool:
        return self.optimizer is not None or self.solver in STEP_SOLVERS

    def _split(
        self, data: TrainingData, y: np.ndarray, validation: tuple[Any, Any], random: np.random.RandomState
    ) -> Task:
        """Return what to learn, with a part of the rows held out if early stopping needs them.

        ``y`` are the targets as the user gave them, which errors are to name.
        """
        rows = np.arange(len(data))
        if validation[0] is not None:
            return self._task(data, rows, self._checked_validation(*validation, data))
        if not (self.early_stopping and self._uses_steps()):
            return self._task(data, rows, None)
        stratify = y.ravel() if self._is_binary() else None
        fraction = self.validation_fraction
        trained, held_out = train_test_split(rows, random_state=random, test_size=fraction, stratify=stratify)
        if len(held_out) < 2:
            fix = "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            raise ArgumentError(f"{fix} It has {len(held_out)} rows")
        check_weights(data, trained, held_out, "validation_fraction", fraction)
        return self._task(data, trained, data.rows(held_out))

    def _is_binary(self) -> bool:
        return False

    def _check_validation(self, X_val: Any, y_val: Any) -> None:
        if (X_val is None) != (y_val is None):
            missing = "y_val" if y_val is None else "X_val"
            raise ArgumentError(f"{missing} is None: X_val and y_val belong together, give both or none")
        if X_val is not None and not self._uses_steps():
            raise invalid(
                "solver", self.solver, "it has no epochs to measure X_val after; leave X_val out, or use 'adam'"
            )

    def _checked_validation(self, X_val: Any, y_val: Any, data: TrainingData) -> TrainingData:
        numeric = self.__sklearn_tags__().estimator_type == "regressor"
        dtype = self.coefs_[0].dtype.name
        X_val, y_val = checked_data(self, X_val, y_val, reset=False, y_numeric=numeric)
        with about("y_val"):
            targets = self._encode(y_val, dtype, first=False, incremental=True)
        return TrainingData(as_rows("X_val", X_val, dtype), targets)

    def _train(self, task: Task, random: np.random.RandomState, *, incremental: bool) -> None:
        if self._uses_steps():
            try:
                self._train_by_steps(task, random, incremental=incremental)
            except DivergenceError as error:
                raise DivergenceError(f"{NOT_FINITE} In detail: {error}") from error
        else:
            total = len(task.data) if task.data.weights is None else float(task.data.weights.sum())
            network = self._network_to_train(self.alpha / total)
            train_by_lbfgs(self, network, task)
            self._keep(network)
        if not all(np.isfinite(array).all() for array in (*self.coefs_, *self.intercepts_)):
            raise ArgumentError(NOT_FINITE)

    def _train_by_steps(self, task: Task, random: np.random.RandomState, *, incremental: bool) -> None:
        self._solver = self._solver_to_train(random, incremental=incremental)
        continue_curves(self, validated=task.validation is not None)
        network = self._network_to_train(self.alpha)
        goes_back = self.early_stopping and not incremental
        if goes_back and self._last_weights is not None and _equal(network.get_weights(), self._best_weights):
            network.set_weights(self._last_weights)
        self._last_weights = None
        self.n_iter_ = 0
        history = train_by_steps(self, network, task, self._solver, random, incremental=incremental)
        self._keep(network)
        if not (incremental or history.stopped_because or history.interrupted):
            self._warn_of_the_last_iteration()

    def _warn_of_the_last_iteration(self) -> None:
        reached = f"Maximum iterations ({self.max_iter}) reached"
        message = f"Stochastic Optimizer: {reached} and the optimization hasn't converged yet."
        warn(message, ConvergenceWarning)

    def _solver_to_train(self, random: np.random.RandomState, *, incremental: bool) -> SolverState:
        """Return what goes on from the last call, as a copy, or begins with this one."""
        last = self._solver
        if incremental and last is not None and last.goes_on(self):
            state = last.copied()
        else:
            state = SolverState.fresh(self)
        if np.any(self.dropout) and not state.seed:  # without dropout the numbers that are drawn are scikit-learn's
            state.seed = int(random.randint(RANDOM_SEEDS))
        return state

    def _network_to_train(self, l2: float) -> Sequential:
        network = self._present_network(get_backend)
        penalize(network, float(l2))
        return network

    def _present_network(self, backend_of: Callable[[Any], Backend]) -> Sequential:
        """Return the network with the present weights; it remembers nothing that the next call could need."""
        seed = 0 if self._solver is None else self._solver.seed
        weights, parts, network = (self.coefs_, self.intercepts_), (*made_of(self), seed), self._network
        if network is None or parts != self._network_of:
            network = make_network(self, weights, backend_of(self.backend), seed=seed)
            self._network, self._network_of = network, parts
        else:
            load(network, weights)  # they are the user's to change
        return network

    def _keep(self, network: Sequential) -> None:
        self.coefs_, self.intercepts_ = unloaded(network)
        self._network = network

    def _outputs(self, X: Any, *, scores: bool = False) -> np.ndarray:
        """Return the outputs (n, n_outputs_) for ``X (n, n_features)``; ``scores``: before their activation."""
        check_is_fitted(self)
        X = checked_inputs(self, X)
        with own_float_errors():
            network = self._present_network(usable_backend)
            rows = as_rows("X", X, network.dtype)
            return choose_predictor(network, rows, scores=scores).predict(rows)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to a device or to this process; it is made again when it is needed."""
        state: dict[str, Any] = super().__getstate__()
        made_again = ("_network", "_network_of")
        return {name: value for name, value in state.items() if name not in made_again} | {_VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state; warn if another version of accelnn has written it."""
        state = dict(state)
        version = state.pop(_VERSION, "of unknown number")
        if version != __version__:
            written = f"this {type(self).__name__} was pickled by accelnn {version} and is loaded by {__version__}"
            message = f"{written}: its attributes may differ; train it again, or load it with the version it is from"
            warn(message)
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _equal(weights: list[np.ndarray], others: list[np.ndarray] | None) -> bool:
    return others is not None and all(map(np.array_equal, weights, others))


def trains_by_steps(estimator: MultilayerPerceptron) -> bool:
    """Return True if there is ``partial_fit``; else raise the AttributeError that says why."""
    if not estimator._uses_steps():
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True
