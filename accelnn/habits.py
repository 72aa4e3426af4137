"""What other libraries call things, for the answers to names that accelnn does not have.

Names of losses, activations and the like that mean the same everywhere are aliases, in the rooms that resolve them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from accelnn.errors import MissingAttributeError, nearest

_RATE = ("learning_rate_init", "learning_rate", "rate", "max_rate")
_EPOCHS = ("epochs", "max_iter")
_N_IN = "the number of inputs follows from the data, or is n_in of Sequential"
_PARTLY = "there is EarlyStopping: callbacks=EarlyStopping('val_loss', patience=10)"

SAME_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("lr", "eta", "eta0", "step_size_init", "initial_learning_rate", "lr_max", "max_lr"), _RATE),
    "learning_rate": _RATE,
    "learning_rate_init": _RATE,
    **dict.fromkeys(
        ("epoch", "nb_epoch", "n_epoch", "n_epochs", "num_epochs", "max_epochs", "n_iter", "num_iterations"), _EPOCHS
    ),
    **dict.fromkeys(("epochs", "max_iter", "n_estimators", "num_boost_round"), _EPOCHS),
    **dict.fromkeys(("bs", "batch", "minibatch_size", "batchsize"), ("batch_size",)),
    **dict.fromkeys(("validation_fraction", "val_split", "test_size", "valid_pct"), ("validation_split",)),
    **dict.fromkeys(("eval_set", "valid_sets", "validation_set", "val_data"), ("validation_data",)),
    **dict.fromkeys(("objective", "criterion", "loss_fn", "loss_func", "loss_function"), ("loss",)),
    **dict.fromkeys(("optim", "opt", "opt_func", "solver", "updater"), ("optimizer", "solver")),
    **dict.fromkeys(("metric", "eval_metric", "scoring"), ("metrics",)),
    **dict.fromkeys(("callback", "cbs"), ("callbacks",)),
    **dict.fromkeys(("weight", "weights", "sample_weights"), ("sample_weight",)),
    "class_weights": ("class_weight",),
    **dict.fromkeys(("n_jobs", "nthread", "num_threads", "n_threads", "workers"), ("threads",)),
    **dict.fromkeys(("device", "device_type"), ("backend",)),
    **dict.fromkeys(("random_state", "random_seed", "seed", "manual_seed"), ("seed", "random_state")),
    **dict.fromkeys(("verbosity", "verbose_eval"), ("verbose",)),
    **dict.fromkeys(("amp", "fp16", "mixed_precision"), ("precision",)),
    **dict.fromkeys(("out_features", "output_dim", "n_units", "num_units", "hidden_size"), ("units",)),
    **dict.fromkeys(("act", "act_cls", "nonlinearity"), ("activation",)),
    **dict.fromkeys(("kernel_initializer", "weight_init", "init"), ("initializer",)),
    "bias": ("use_bias",),
    **dict.fromkeys(("p", "drop_prob"), ("rate",)),
    "eps": ("epsilon",),
    **dict.fromkeys(("beta1", "b1"), ("beta_1",)),
    **dict.fromkeys(("beta2", "b2"), ("beta_2",)),
    **dict.fromkeys(("clipnorm", "max_norm", "max_grad_norm", "gradient_clip_val"), ("clip_norm",)),
    "clipvalue": ("clip_value",),
    "alpha": ("rho",),
    "monitor": ("metric",),
    "restore_best_weights": ("restore_best",),
    "n_iter_no_change": ("patience",),
    **dict.fromkeys(("filepath", "dirpath", "save_dir", "folder"), ("directory",)),
    **dict.fromkeys(("save_freq", "period", "every_n_epochs"), ("every",)),
    **dict.fromkeys(("save_top_k", "max_to_keep", "save_total_limit"), ("keep",)),
    "save_best_only": ("best",),
    **dict.fromkeys(("gamma", "decay_rate"), ("factor",)),
    **dict.fromkeys(("step_size", "decay_steps"), ("every",)),
    "eta_min": ("final",),
    "pct_start": ("warmup",),
    "div_factor": ("start_factor",),
    "final_div_factor": ("final_factor",),
    **dict.fromkeys(("stddev", "sigma"), ("std",)),
    "minval": ("low",),
    "maxval": ("high",),
}
"""Arguments elsewhere, and what the same is called here: the first of these that a call takes is meant."""

OTHER_ARGUMENTS: Mapping[str, str] = {
    **dict.fromkeys(("input_shape", "input_dim", "input_size", "in_features", "n_inputs", "n_features"), _N_IN),
    "hidden_layer_sizes": "give layers, Sequential([Dense(100, 'relu'), Dense(10, 'softmax')]), or use MLPClassifier",
    "from_logits": "leave it out: losses are computed from the values before the activation of the output anyway, so "
    "end the network in 'softmax' or 'sigmoid'",
    "device": "it is that of the model: Sequential(layers, backend='cuda')",
    **dict.fromkeys(("optimizer", "metrics", "epochs", "learning_rate"), "give it to fit"),
    "loss": "give it to fit; without it the loss follows from the activation of the output",
    "batch_size": "leave it out: fit and partial_fit have batches",
    "verbose": "leave it out: fit shows progress",
    "context": "model(x) is the output, and model.context() makes one",
    "d_output": "fit and partial_fit go backward themselves; it is the gradient of the loss by the output",
    **dict.fromkeys(
        ("weight_decay", "wd"), "it is a penalty of layers, Dense(10, l2=1e-4), or that of AdamW(weight_decay=0.01)"
    ),
    **dict.fromkeys(
        ("kernel_regularizer", "regularization", "reg_lambda"), "penalties are numbers: Dense(10, l1=1e-5, l2=1e-4)"
    ),
    "betas": "give them one by one: beta_1=0.9, beta_2=0.999",
    "params": "leave it out: fit hands the parameters of the model to its optimizer",
    "T_max": "leave it out: Cosine goes over the epochs of fit",
    "initial_epoch": "a run goes on with checkpoint=Checkpoint('runs/first'), resume=True, or by another call of fit",
    **dict.fromkeys(("steps_per_epoch", "validation_steps", "drop_last"), "leave it out: an epoch is all rows"),
    **dict.fromkeys(("early_stopping", "early_stopping_rounds", "stopping_rounds"), _PARTLY),
    "validation_split": "use early_stopping=True, validation_fraction=0.1, or give X_val and y_val to fit",
    "validation_data": "give X_val and y_val to fit",
    "training": "leave it out: fit trains, everything else predicts",
    "dropout": "dropout is a layer: Dense(64, 'relu'), Dropout(0.5)",
    "return_sequences": "there are no recurrent layers",
    "amsgrad": "leave it out: there is no AMSGrad",
    "nesterov_momentum": "use momentum=0.9, nesterov=True",
    "keep_prob": "use rate, which is 1 - keep_prob",
    "axis": "leave it out: rows are samples, columns are features",
    "num_features": _N_IN,
    "decay": "give a schedule: learning_rate=schedules.InverseScaling(0.01)",
    "scheduler": "give it as the rate: learning_rate=schedules.Cosine(0.01)",
    "schedule": "give it as the rate: learning_rate=schedules.Cosine(0.01)",
}
"""Arguments elsewhere that have no counterpart of their own, and accelnn's way."""

PARTICULAR: Mapping[str, str] = {
    "fit lacks": "; data in chunks are for partial_fit",
    "partial_fit lacks": "; data in chunks are given one chunk a call, for X, y in chunks",
    "Sequential was given": "; layers are one list: Sequential([Dense(64, 'relu'), Dense(10, 'softmax')])",
}
"""What is added to the answer to a call that does not fit its signature, by how the answer begins."""


def same_argument(name: str, known: Collection[str]) -> str | None:
    """Return the one of the arguments ``known`` that other libraries call ``name``, None if there is none."""
    return next((own for own in SAME_ARGUMENTS.get(name, ()) if own in known), None)


def answer_to_argument(name: str, known: Collection[str]) -> str:
    """Return what to use in place of an argument that a call does not have; ``known`` are those it has."""
    same = same_argument(name, known)
    if same is None and name in OTHER_ARGUMENTS:
        return OTHER_ARGUMENTS[name]
    same = same or nearest(name, known)
    return f"it takes {', '.join(known) or 'none'}" if same is None else f"use {same}"


class AnswersHabits:
    """Base of classes whose missing attributes are answered with accelnn's way, where other libraries have them.

    Raises MissingAttributeError, which is an ``AttributeError``, so ``hasattr``, copies and pickles are as ever.
    """

    _elsewhere: ClassVar[Mapping[str, str]] = {}
    """Attributes elsewhere, and what to do here."""

    if not TYPE_CHECKING:  # a type checker would believe that there is every attribute

        def __getattr__(self, name: str) -> Any:
            """Called for what is not there."""
            raise missing_attribute(self, name, self._elsewhere.get(name))


def missing_attribute(owner: object, name: str, answer: str | None) -> MissingAttributeError:
    """Return the error for an attribute that ``owner`` lacks."""
    words = f"'{type(owner).__name__}' object has no attribute '{name}'"
    if answer is None:
        return MissingAttributeError(words, name=name, obj=owner)
    return MissingAttributeError(f"{words}: {answer}", name=name)


_GOES_TO_FIT = "give loss, optimizer and metrics to fit: model.fit(x, y, optimizer=Adam(0.001), epochs=10)"
_TRAIN_MODE = "there are no modes: fit trains, predict and evaluate do not"
_DEVICE = "a model is made on its device: Sequential(layers, backend='cuda')"
_FIT = "use model.fit(x, y, epochs=10)"
_SAVE = "use model.save('model.npz'), and accelnn.load_model('model.npz')"
_ESTIMATOR = "MLPClassifier and MLPRegressor are the estimators of scikit-learn's kind"

OF_MODELS: Mapping[str, str] = {
    "compile": _GOES_TO_FIT,
    "add": "give all layers at once: Sequential([Dense(64, 'relu'), Dense(10, 'softmax')])",
    "pop": "make a new Sequential of the layers that you want",
    "append": "give all layers at once: Sequential([Dense(64, 'relu'), Dense(10, 'softmax')])",
    **dict.fromkeys(("train", "eval"), _TRAIN_MODE),
    **dict.fromkeys(("to", "cuda", "cpu", "half", "float", "double"), _DEVICE),
    "device": "it is model.backend.device",
    "optimizer": "it is an argument of fit; a callback changes the rate by self.set_learning_rate(0.001)",
    **dict.fromkeys(("learning_rate", "lr"),
                    "it belongs to the run: fit(learning_rate=0.01), and self.set_learning_rate(0.001) in a callback"),
    "get_config": "use model.layers, which print as the calls that make them",
    **dict.fromkeys(("parameters", "named_parameters", "trainable_weights", "trainable_variables"),
                    "use model.get_weights() for copies, and layer.W, layer.b of model.layers"),
    **dict.fromkeys(("weights", "coefs_", "intercepts_", "state_dict"), "use model.get_weights() and set_weights"),
    "load_state_dict": "use model.set_weights(arrays)",
    **dict.fromkeys(("save_weights", "load_weights", "to_json", "export", "save_model"), _SAVE),
    **dict.fromkeys(("zero_grad", "requires_grad_"), "every step computes its gradients anew: fit and partial_fit do"),
    "step": "model.partial_fit(x, y, batch_size=None) is one step",
    **dict.fromkeys(("train_on_batch", "train_step"), "use model.partial_fit(x, y, batch_size=None)"),
    "test_on_batch": "use model.evaluate(x, y)",
    "predict_on_batch": "use model.predict_proba(x), or model(x)",
    "predict_classes": "use model.predict(x), which returns the labels of a softmax",
    "fit_generator": "use model.partial_fit(chunks) with a generator of (x, y)",
    "score": "use model.evaluate(x, y, metrics='accuracy')['accuracy'], or 'r2'",
    **dict.fromkeys(("fit_transform", "transform", "fit_predict"), "call fit, then predict, predict_proba or model(x)"),
    **dict.fromkeys(("predict_log_proba", "decision_function"), "use numpy.log(model.predict_proba(x))"),
    **dict.fromkeys(("get_params", "set_params", "classes_"), _ESTIMATOR),
    **dict.fromkeys(("fine_tune", "fit_one_cycle"),
                    "use model.fit(x, y, learning_rate=schedules.OneCycle(0.01), epochs=5)"),
    **dict.fromkeys(("get_preds", "validate"), "use model.predict_proba(x) and model.evaluate(x, y)"),
    "lr_find": "try a few: learning_rate=0.001, 0.003, 0.01",
    "get_layer": "use model.layers, a list",
    "train_model": _FIT,
    "loss_curve_": "use model.history['loss']",
    "n_iter_": "use len(model.history)",
    "input_shape": "it is (model.n_in,)",
    "output_shape": "it is (model.n_out,)",
    "count_params": "use model.count_parameters()",
    "num_parameters": "use model.count_parameters()",
}  # fmt: skip

OF_HISTORIES: Mapping[str, str] = {
    "history": "the history has the columns itself: history['loss']",
    "epoch": "use range(len(history))",
    "params": "use history.runner and history.threads; the number of epochs is len(history)",
    **dict.fromkeys(("items", "values"), "make a dictionary of it: dict(history) or history.to_dict()"),
    **dict.fromkeys(("loss", "val_loss", "loss_curve_", "losses"), "columns are looked up: history['loss']"),
    **dict.fromkeys(("predict", "predict_proba", "score", "evaluate"), "fit returns the history, the model is trained"),
    **dict.fromkeys(("to_df", "to_pandas"), "use pandas.DataFrame(dict(history))"),
    "show": "use history.plot(), or history.plot('curves.png')",
}

OF_OPTIMIZERS: Mapping[str, str] = {
    "step": "fit makes the steps; model.partial_fit(x, y, batch_size=None) is one",
    "zero_grad": "every step computes its gradients anew: fit and partial_fit do",
    **dict.fromkeys(("minimize", "apply_gradients"), "fit makes the steps"),
    **dict.fromkeys(("lr", "param_groups"), "the rate is optimizer.learning_rate; fit(learning_rate=...) replaces it"),
    "state_dict": "the state of a run is kept by fit(checkpoint=Checkpoint('runs/first'))",
    "get_config": "repr(optimizer) says all",
}

OF_LAYERS: Mapping[str, str] = {
    **dict.fromkeys(("weight", "kernel", "coef_"), "it is layer.W, of shape (n_in, n_out)"),
    **dict.fromkeys(("bias", "intercept_"), "it is layer.b"),
    **dict.fromkeys(("get_weights", "weights"), "use layer.W and layer.b, or model.get_weights()"),
    "set_weights": "use model.set_weights(arrays)",
    "grad": "gradients are layer.dW and layer.db",
    "get_config": "use layer.config()",
    **dict.fromkeys(("in_features", "input_shape"), "it is layer.n_in"),
    **dict.fromkeys(("out_features", "output_shape"), "it is layer.n_out"),
    "trainable": "all layers are trained: one cannot be frozen",
}

_LAYERS = "there are Dense, Activation, BatchNorm, LayerNorm, Dropout and Rescaling"
_BY_NAME = "it is a name: loss='cross_entropy', metrics=['accuracy'], Dense(64, 'relu'), optimizer='adam'"

OF_THE_PACKAGE: Mapping[str, str] = {
    "Linear": "use Dense(units, activation); the number of inputs follows from the data",
    **dict.fromkeys(("Input", "InputLayer"), "leave it out: " + _N_IN),
    **dict.fromkeys(("Model", "Module", "MLP", "Learner", "tabular_learner"), "use Sequential([Dense(64, 'relu')])"),
    "Flatten": "use x.reshape(len(x), -1)",
    **dict.fromkeys(("ReLU", "Sigmoid", "Tanh", "Softmax", "LeakyReLU", "GELU", "SiLU", "ELU", "LogSoftmax"),
                    "use Activation('relu'), or the second argument of Dense"),
    **dict.fromkeys(("BatchNormalization", "BatchNorm1d"), "use BatchNorm()"),
    "LayerNormalization": "use LayerNorm()",
    **dict.fromkeys(("Normalization", "StandardScaler"), "use Rescaling(1 / 255), or standardise with scikit-learn"),
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv2d", "MaxPooling2D", "LSTM", "GRU", "Embedding", "Concatenate"), _LAYERS),
    "layers": _LAYERS,
    **dict.fromkeys(("nn", "optim", "optimizers", "callbacks", "models", "initializers"),
                    "names are in accelnn itself: from accelnn import Sequential, Dense, Adam, EarlyStopping"),
    **dict.fromkeys(("losses", "metrics", "activations", "CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss", "MSELoss",
                     "L1Loss", "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "BinaryCrossentropy",
                     "MeanSquaredError", "Accuracy"), _BY_NAME),
    **dict.fromkeys(("ModelCheckpoint", "CSVLogger", "BackupAndRestore"),
                    "use fit(checkpoint=Checkpoint('runs/first'), resume=True)"),
    "ReduceLROnPlateau": "use callbacks=ReduceOnPlateau('val_loss', factor=0.1, patience=10)",
    **dict.fromkeys(("LearningRateScheduler", "lr_scheduler", "CosineAnnealingLR", "StepLR",
                     "OneCycleLR", "ExponentialLR", "CosineDecay", "ExponentialDecay", "LambdaLR"),
                    "the rate is a schedule: learning_rate=schedules.Cosine(0.01), or another of accelnn.schedules"),
    "TensorBoard": "use history.plot('curves.png') or history.to_dict()",
    **dict.fromkeys(("l1", "l2", "L1", "L2", "regularizers"), "penalties are numbers: Dense(64, 'relu', l2=1e-4)"),
    **dict.fromkeys(("Tensor", "tensor", "Variable", "GradientTape", "DataLoader", "TensorDataset"),
                    "fit takes NumPy arrays, and those of CuPy, PyTorch and JAX, as they are"),
    "to_categorical": "leave it out: cross_entropy takes labels (n,)",
    **dict.fromkeys(("Adagrad", "Adadelta", "Adamax", "Nadam", "LBFGS", "Optimizer"),
                    "there are SGD, RMSprop, Adam and AdamW; MLPClassifier(solver='lbfgs') has L-BFGS"),
    **dict.fromkeys(("LGBMClassifier", "XGBClassifier", "Classifier"), "use MLPClassifier"),
    **dict.fromkeys(("LGBMRegressor", "XGBRegressor", "Regressor"), "use MLPRegressor"),
    **dict.fromkeys(("no_grad", "manual_seed", "set_random_seed"),
                    "there is no global state; the seed is that of the model: Sequential(layers, seed=0)"),
    **dict.fromkeys(("cuda", "device", "is_available"), "use Sequential(layers, backend='auto'), or ask accelnn info"),
    "early_stopping": "use callbacks=EarlyStopping('val_loss', patience=10)",
}  # fmt: skip
