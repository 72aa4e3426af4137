"""Widths, depth, batch size and seed are numbers in tables: a change of them needs no new machine code."""

from __future__ import annotations

from tests.training.own_process import output_of

SIZES = """
    import logging
    import numpy as np
    from accelnn import BatchNorm, Dense, Dropout, Sequential
    from accelnn.training.runners import compiled

    class Asked(logging.Handler):
        names = []

        def emit(self, record):
            if record.getMessage().startswith(("compiled", "loaded")):
                self.names.append(record.getMessage())

    logging.getLogger("accelnn").addHandler(Asked())
    logging.getLogger("accelnn").setLevel(logging.DEBUG)
    rng = np.random.default_rng(0)

    def train(widths, n_in=6, n_out=3, batch_size=8, seed=0, rows=40, threads=1):
        compiled.team_size = lambda *sizes: threads
        x, y = rng.normal(size=(rows, n_in)), rng.integers(0, n_out, rows)
        hidden = [layer for width in widths for layer in (Dense(width, "relu"), BatchNorm(), Dropout(0.1))]
        model = Sequential([*hidden, Dense(n_out, "softmax")], backend="cpu", seed=seed)
        model.fit(x, y, epochs=2, batch_size=batch_size, metrics="accuracy", validation_split=0.2, verbose=0)
        model.predict(x)

    train([5])
    before = list(Asked.names)
    assert any("gemm" in name for name in before), before
    assert any("train_steps" in name for name in before), before
    for threads in (1, 2):
        train([5], threads=threads)
        train([1], threads=threads)
        train([300, 200], n_in=1000, n_out=17, batch_size=64, rows=400, threads=threads)
        train([7] * 12, threads=threads)
        train([5], batch_size=2, threads=threads)
        train([5], batch_size=None, threads=threads)
        train([5], seed=1, n_in=1, threads=threads)
        train([], threads=threads)
    for loop in (compiled._train_steps(), compiled._predict_steps()):
        assert len(loop.signatures) == 1, loop.signatures
    print(Asked.names[len(before):])
"""


def test_other_sizes_need_no_other_machine_code():
    assert output_of(SIZES) == "[]\n"
