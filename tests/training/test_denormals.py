"""While the compiled loop runs denormal numbers are zero, on every thread; outside of it nothing is changed."""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest
from accelnn_kernels import denormals
from accelnn_kernels.catalog import SIGNATURES
from accelnn_kernels.team import ABANDONED
from llvmlite import binding, ir

from accelnn import SGD, Dense, Sequential
from accelnn.arrays import reference
from accelnn.training.data import TrainingData
from accelnn.training.runners import compiled
from tests.training.parity import dense, inputs, labels

BITS = denormals.mode_bits(denormals.MACHINE)
KEPT = 1 << 15 if denormals.MACHINE in denormals.X86 else 1 << 24
"""A bit of the mode that a caller may have set before."""

needs_mode = pytest.mark.skipif(BITS == 0, reason="this processor's mode is left alone")


@numba.njit
def read():
    return denormals.float_mode()


@numba.njit
def write(mode):
    denormals.set_float_mode(mode)


@numba.cfunc(SIGNATURES["loss"])
def mode_as_loss(output, gradient, targets, weights, factor, rows, columns):
    return float(denormals.float_mode())


def spied_runner(monkeypatch, threads: int) -> compiled.CompiledRunner:
    """Return a runner of which each thread says, as the loss of a step, in which mode it computes."""
    monkeypatch.setattr(compiled, "team_size", lambda *_: threads)
    model = Sequential([dense(7, "tanh"), dense(3, "softmax")], n_in=5, seed=0)
    data = TrainingData(inputs(), labels())
    runner = compiled.CompiledRunner(model, data, "cross_entropy", SGD(0.1), (), 16)
    runner.begin_epoch(np.arange(len(data)))
    runner.machine.set(loss=mode_as_loss.address)
    return runner


def run_steps(runner: compiled.CompiledRunner, n_steps: int = 2) -> np.ndarray:
    """Return the modes (threads, n_steps) in which the steps were computed."""
    hyper, keys = np.zeros((n_steps, 6)), reference.dropout_keys(0, np.arange(n_steps), 0).astype(np.int64)
    runner.machine.set(hyper=hyper.ctypes.data, dropout_keys=keys.ctypes.data)
    modes = np.zeros((runner.threads, n_steps))
    runner.machine.run(compiled._train_steps(), 0, n_steps, modes)
    return modes.astype(np.int64)


@needs_mode
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("own", [0, KEPT])
def test_every_thread_computes_without_denormals_and_puts_its_mode_back(monkeypatch, threads, own):
    runner, usual = spied_runner(monkeypatch, threads), read()
    try:
        write(usual & ~BITS | own)
        before = read()
        modes = run_steps(runner)
        after = read()
    finally:
        write(usual)
    assert modes.shape == (threads, 2)
    assert (modes & BITS == BITS).all()
    assert after == before


@needs_mode
def test_the_mode_of_a_thread_that_gives_up_is_put_back(monkeypatch):
    runner, seen = spied_runner(monkeypatch, 2), []
    runner.machine.counters[ABANDONED // 8] = 1

    def alone():
        losses, before = np.zeros(1), read()
        compiled._train_steps()(runner.machine._nets[0], 0, 1, (losses,))
        seen.append((int(losses[0]) & BITS, read() - before))

    thread = threading.Thread(target=alone)
    thread.start()
    thread.join()
    assert runner.machine.frame["abandoned"][0] == 1
    assert seen == [(BITS, 0)]


@needs_mode
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_on_both_sides_of_the_limit(dtype):
    """A product below the smallest normal number is 0, one above it is what the plain runner says, in training too."""
    smallest = float(np.finfo(dtype).tiny)
    model = Sequential([Dense(1, initializer=np.ones((1, 1)), use_bias=False)], n_in=1, dtype=dtype, backend="cpu")
    model.set_weights([np.full((1, 1), smallest * 2, dtype)])
    x = np.array([[0.25], [0.5], [1.0], [-0.25]], dtype)
    np.testing.assert_array_equal(model.predict(x).ravel(), np.array([0.0, smallest, 2 * smallest, 0.0], dtype))
    for weight, left in [(smallest / 4, 0.0), (smallest * 4, smallest * 4)]:
        model.set_weights([np.full((1, 1), weight, dtype)])
        model.fit(np.zeros((4, 1), dtype), np.zeros((4, 1)), epochs=1, optimizer=SGD(0.1), batch_size=2, verbose=0)
        assert model.get_weights()[0].item() == left


@pytest.mark.parametrize(
    ("machine", "bits", "instructions"),
    [
        ("x86_64", 0x8040, ("stmxcsr", "ldmxcsr")),
        ("aarch64", 1 << 24, ("fpcr", "fpcr")),
        ("riscv64", 0, ()),
    ],
)
def test_each_kind_of_processor_has_its_register(machine, bits, instructions):
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.IntType(64), []), "flush")
    builder = ir.IRBuilder(function.append_basic_block())
    mode = denormals.read_mode(builder, machine)
    denormals.write_mode(builder, builder.or_(mode, ir.Constant(mode.type, bits)), machine)
    builder.ret(mode)
    assert denormals.mode_bits(machine.upper()) == bits
    text = str(module)
    binding.parse_assembly(text).verify()
    assert all(word in text for word in instructions)
    assert ("llvm." in text) is bool(instructions)
