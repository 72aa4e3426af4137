"""The commands and their flags. What a command does is in the module of its name, loaded when it runs.

Only Typer is imported here, so that ``accelnn --help`` appears at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from accelnn.cli.failures import CommandLine
from accelnn.cli.options import BenchOptions, TrainOptions
from accelnn.cli.values import number, whole_number

app = typer.Typer(
    name="accelnn",
    cls=CommandLine,
    add_completion=False,
    rich_markup_mode=None,  # Rich triples the time until the help appears
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_DATASET_HELP = (
    "mnist, fashion-mnist, digits, flower, circles, moons, blobs, gaussian_quantiles, csv:PATH (label first), "
    "npz:PATH (arrays x and y), idx:DIR, or auto: mnist, and where it cannot be had, digits."
)

Dataset = Annotated[str, typer.Option(metavar="NAME", help=_DATASET_HELP)]
DataDir = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder with the files of mnist or fashion-mnist; else $ACCELNN_DATA_DIR."),
]
Hidden = Annotated[
    str, typer.Option(metavar="WIDTHS", help="Widths of the hidden layers, separated by commas, or none.")
]
Activation = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Of the hidden layers: relu, leaky_relu, elu, selu, silu, gelu, tanh, sigmoid, hard_sigmoid, softplus, "
        "softmax, exponential, identity.",
    ),
]
Optimizer = Annotated[
    str, typer.Option(metavar="NAME", help="adam, adamw, rmsprop, sgd, momentum (sgd with 0.9) or nesterov.")
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        parser=number("--learning-rate"),
        metavar="NUMBER",
        help="Default: 0.001 for adam, adamw and rmsprop, else 0.01. With a schedule, its largest rate.",
    ),
]
Epochs = Annotated[
    int, typer.Option(parser=whole_number("--epochs", 1), metavar="N", help="Passes over the training rows.")
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        parser=whole_number("--batch-size", 1),
        metavar="N",
        help="Rows of a mini-batch; 128, or all rows if there are fewer.",
    ),
]
Dropout = Annotated[
    float,
    typer.Option(
        parser=number("--dropout"),
        metavar="RATE",
        help="Fraction of each hidden layer to drop while training, in [0, 1).",
    ),
]
L2 = Annotated[
    float,
    typer.Option("--l2", parser=number("--l2"), metavar="NUMBER", help="Factor of the penalty l2/2 * sum W^2."),
]
Schedule = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Of the learning rate: constant, step, exponential, cosine, inverse_scaling, one_cycle, warmup.",
    ),
]
EarlyStopping = Annotated[
    int | None,
    typer.Option(
        parser=whole_number("--early-stopping", 1),
        metavar="N",
        help="Hold out a tenth of the training rows, stop when the loss on them has not improved for N epochs, and "
        "keep the best weights.",
    ),
]
Backend = Annotated[
    str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N; auto is CUDA if it works here, else the CPU.")
]
Dtype = Annotated[str, typer.Option(metavar="NAME", help="float32 or float64.")]
Runner = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="auto, compiled (the fast one, CPU), captured (the fast one, CUDA) or plain (array by array).",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        parser=whole_number("--threads", 1),
        metavar="N",
        help="Use at most so many; the default is as many as pay. $ACCELNN_NUM_THREADS limits all commands.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="float32, tf32 or bf16: how precisely CUDA may multiply matrices; the default is the dtype.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        parser=whole_number("--seed", 0),
        metavar="N",
        help="The same seed gives the same model; the default is drawn and reported.",
    ),
]
Save = Annotated[str | None, typer.Option(metavar="PATH", help="Write the model there, for evaluate and predict.")]
Checkpoint = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Keep the state of the run there, so that --resume can go on after a crash."),
]
CheckpointEvery = Annotated[
    str,
    typer.Option(metavar="INTERVAL", help="How often: epoch, or for example '5 epochs', '1000 steps', '10 minutes'."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the run in the folder of --checkpoint, with the flags that it was begun with; begin it where "
        "there is none.",
    ),
]
Plot = Annotated[
    str | None, typer.Option(metavar="PATH", help='Draw the curves there, as .png; needs pip install "accelnn[plot]".')
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
WarmUpDtype = Annotated[str, typer.Option("--dtype", metavar="NAME", help="float32, float64 or all.")]
BenchBatchSize = Annotated[
    int, typer.Option(parser=whole_number("--batch-size", 1), metavar="N", help="Rows of a mini-batch.")
]
BenchBackend = Annotated[
    str, typer.Option(metavar="NAME", help="cpu or auto, which is the same here: CUDA is not measured yet.")
]
Seconds = Annotated[
    float,
    typer.Option(
        parser=number("--seconds"),
        metavar="NUMBER",
        help="How long to measure: longer is steadier. Compiling is extra.",
    ),
]
BenchPlot = Annotated[
    str | None, typer.Option(metavar="PATH", help='Draw the phases there, as .png; needs pip install "accelnn[plot]".')
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="File that train --save wrote, or folder of --checkpoint.")]
TestDataset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Names as in train. Default: the test rows of the data the model was trained on. Of another file "
        "without a test part, all rows are used.",
    ),
]
Input = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Rows to predict, without labels: CSV (with or without header), NPZ (array x) or IDX (also gzipped).",
    ),
]
Output = Annotated[
    str, typer.Option(metavar="FILE", help="CSV to write: a header, then one line per row; - is standard output.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from accelnn import __version__

        print(f"accelnn {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback(invoke_without_command=True)
def start(context: typer.Context, version: Version = False) -> None:
    """Train neural networks at the speed of the machine. Begin with: accelnn train."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def train(
    dataset: Dataset = "auto",
    data_dir: DataDir = None,
    hidden: Hidden = "128,64",
    activation: Activation = "relu",
    optimizer: Optimizer = "adam",
    learning_rate: LearningRate = None,
    epochs: Epochs = 10,
    batch_size: BatchSize = None,
    dropout: Dropout = 0.0,
    l2: L2 = 0.0,
    schedule: Schedule = "constant",
    early_stopping: EarlyStopping = None,
    backend: Backend = "auto",
    dtype: Dtype = "float32",
    runner: Runner = "auto",
    threads: Threads = None,
    precision: Precision = None,
    seed: Seed = None,
    save: Save = None,
    plot: Plot = None,
    checkpoint: Checkpoint = None,
    checkpoint_every: CheckpointEvery = "epoch",
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train a network on a data set and test it."""
    options = TrainOptions(**locals())
    from accelnn.cli.train import run_training

    run_training(options)


@app.command()
def evaluate(
    model: Model,
    dataset: TestDataset = None,
    data_dir: DataDir = None,
    backend: Backend = "auto",
    as_json: AsJson = False,
) -> None:
    """Test a saved model."""
    from accelnn.cli.evaluate import run_evaluation

    run_evaluation(model, dataset, data_dir, backend, as_json)


@app.command()
def predict(
    model: Model,
    input: Input,  # noqa: A002 - the flag is called --input
    output: Output,
    backend: Backend = "auto",
    as_json: AsJson = False,
) -> None:
    """Predict the classes, or the values, of rows in a file."""
    from accelnn.cli.predict import run_prediction

    run_prediction(model, input, output, backend, as_json)


@app.command()
def bench(
    hidden: Hidden = "128,64",
    activation: Activation = "relu",
    optimizer: Optimizer = "adam",
    batch_size: BenchBatchSize = 128,
    backend: BenchBackend = "cpu",
    dtype: Dtype = "float32",
    threads: Threads = None,
    seconds: Seconds = 3.0,
    plot: BenchPlot = None,
    as_json: AsJson = False,
) -> None:
    """Measure a training step on this machine: its speed, where its time goes, and what limits it."""
    options = BenchOptions(**locals())
    from accelnn.cli.bench import run_bench

    run_bench(options)


@app.command()
def info(as_json: AsJson = False) -> None:
    """Show what works on this machine, and how to get what does not."""
    from accelnn.cli.info import run_info

    run_info(as_json)


@app.command()
def warmup(dtype: WarmUpDtype = "float32", as_json: AsJson = False) -> None:
    """Compile ahead, once for this machine, so that no training has to wait for it."""
    from accelnn.cli.warm_up import run_warmup

    run_warmup(dtype, as_json)


def main() -> None:
    """Run the command line with the arguments of the process; exits."""
    app(prog_name="accelnn")
