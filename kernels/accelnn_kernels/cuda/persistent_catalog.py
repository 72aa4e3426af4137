"""The persistent kernel from its templates, a step that is handed in, and the names of a network's formulas."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from accelnn_kernels import activations, optimizers
from accelnn_kernels.compiler import bind
from accelnn_kernels.cuda import losses, persistent, persistent_shapes, target
from accelnn_kernels.cuda.catalog import CudaKernel, names_of_source, new_scope
from accelnn_kernels.cuda.optimizers import COUNTS
from accelnn_kernels.cuda.persistent_rows import KEPT
from accelnn_kernels.cuda.persistent_sums import Share
from accelnn_kernels.cuda.shapes import ITEMSIZE, WIDE_BYTES, Kind


@cache
def persistent_kernel(train_step: Callable, variant: str, element: str) -> CudaKernel:
    """Return the kernel for networks whose arrays are of ``element``, float32 or float64.

    train_step: the function ``(net, step)`` that calls the operations of :data:`.persistent.OPERATIONS` by name.
    variant: ``"hidden.output.loss.optimizer.source"``: the activation of the hidden layers and that of the last one,
    loss and update as in the CPU's catalog, and the dtype of the data.
    """
    hidden, output, loss, optimizer, source = variant.split(".")
    sizes = persistent_shapes.constants(element, hidden)
    formulas = _formulas(hidden, output, optimizer)
    scope = _scope(element, names_of_source(source) | sizes, formulas)
    # The loss reads what is kept in shared memory by the names with which it reads global memory elsewhere.
    of_loss = _scope(element, sizes, formulas | losses.formulas_of(loss))
    of_loss["cuda"] = target.module_of(scope)
    of_loss |= {name: target.device_function(bind(template, of_loss, name)) for name, template in KEPT.items()}
    for name in ("loss_of_rows", "block_sum"):  # the latter from there, so that its shared memory is there once
        scope[name] = of_loss[name]
    operations = _bound(persistent.OPERATIONS, scope)
    scope["train_step"] = target.device_function(bind(train_step, operations, "train_step"))
    name = f"persistent_steps.{variant}.{element}.{_digest(train_step)}"
    rules = Kind(
        lambda _: (persistent.persistent_steps, {}),
        persistent_shapes.launch_shape,
        max_threads=persistent_shapes.threads(element, hidden),
    )
    return CudaKernel(bind(persistent.persistent_steps, scope, name), "persistent_steps", element, rules=rules)


def _formulas(hidden: str, output: str, optimizer: str) -> dict[str, str]:
    """Return which functions the names in the templates stand for."""
    return {
        "thread_of_block": "thread_of_row",
        "activation": hidden,
        "hidden_keeps_z": "yes" if hidden in activations.KEEPS_Z else "no",
        "derivative": f"{hidden}_derivative",
        "output_activation": output,
        "output_derivative": f"{output}_derivative",
        "output_slope": "leave_gradient" if output == "identity" else "through_output_activation",
        "update_formula": optimizer,
        "n_moments": COUNTS[optimizers.N_MOMENTS[optimizer]].__name__,
    }


def _scope(element: str, names: dict[str, Any], formulas: dict[str, str]) -> dict[str, Any]:
    """Return a scope with the templates of this kernel and everything that they need."""
    scope = new_scope(element)
    scope |= names | persistent.CONSTANTS | target.arrivals() | target.words()
    scope |= {
        "Net": persistent.Net,
        "Share": Share,
        "real_bits": ITEMSIZE[element].bit_length() - 1,
        "four_alignment": target.alignment(WIDE_BYTES),
    }
    scope |= _bound(persistent.TEMPLATES, scope) | target.own_thread()
    scope |= {name: scope[formula] for name, formula in formulas.items()}
    return scope


def _bound(templates: Iterable[Callable], scope: dict[str, Any]) -> dict[str, Any]:
    """Return the templates, bound to a scope, as functions that kernels call."""
    return {
        template.__name__: target.device_function(bind(template, scope, template.__name__)) for template in templates
    }


def _digest(function: Callable) -> str:
    """Return a name for the code of a function: the file with the machine code is called after it."""
    code = function.__code__
    return hashlib.sha256(repr((code.co_code, code.co_consts, code.co_names)).encode()).hexdigest()[:12]
