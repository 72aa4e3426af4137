"""The persistent kernel from its templates, a step that is handed in, and the names of a network's formulas."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from accelnn_kernels import activations, optimizers
from accelnn_kernels.compiler import bind
from accelnn_kernels.cuda import dense, losses, persistent, persistent_shapes, target
from accelnn_kernels.cuda.catalog import CudaKernel, names_of_source, new_scope
from accelnn_kernels.cuda.optimizers import COUNTS
from accelnn_kernels.cuda.shapes import ITEMSIZE, Kind


@cache
def persistent_kernel(train_step: Callable, variant: str, element: str) -> CudaKernel:
    """Return the kernel for networks whose arrays are of ``element``, float32 or float64.

    train_step: the function ``(net, step)`` that calls the operations of :data:`.persistent.OPERATIONS` by name.
    variant: ``"hidden.output.loss.optimizer.source"``: the activation of the hidden layers and that of the last one,
    loss and update as in the CPU's catalog, and the dtype of the data.
    """
    hidden, output, loss, optimizer, source = variant.split(".")
    formulas = _formulas(hidden, output, optimizer) | losses.formulas_of(loss)
    threads = persistent_shapes.threads(element, hidden)
    scope = _scope(element, {"block_threads": threads}, formulas | dense.BATCH)
    of_source = _scope(element, names_of_source(source), formulas | dense.SOURCE)
    of_source["cuda"] = target.module_of(scope)
    scope["forward_from_source"] = of_source["forward_phase"]
    scope["gradient_of_source"] = of_source["weight_gradient_phase"]
    scope["gradient_of_batch"] = scope["weight_gradient_phase"]
    operations = _bound(persistent.OPERATIONS, scope)
    scope["train_step"] = target.device_function(bind(train_step, operations, "train_step"))
    name = f"persistent_steps.{variant}.{element}.{_digest(train_step)}"
    rules = Kind(lambda _: (persistent.persistent_steps, {}), persistent_shapes.launch_shape, max_threads=threads)
    return CudaKernel(bind(persistent.persistent_steps, scope, name), "persistent_steps", element, rules=rules)


def _formulas(hidden: str, output: str, optimizer: str) -> dict[str, str]:
    """Return which functions the names in the templates stand for."""
    loads = "load_both" if hidden in activations.KEEPS_Z else "load_a"
    return {
        "thread_of_block": "thread_of_row",
        "keep_output": "keep_of_layer",
        "activation": hidden,
        "hidden_keeps_z": _answer(hidden in activations.KEEPS_Z),
        "derivative": f"{hidden}_derivative",
        "load_below": "load_nothing" if hidden == "identity" else loads,
        "output_activation": output,
        "output_keeps_z": _answer(output in activations.KEEPS_Z),
        "output_derivative": f"{output}_derivative",
        "through_output_activation": "leave_gradient" if output == "identity" else "multiply_by_derivative",
        "keep_input_gradient": "keep_dx",
        "keep_gradient": "update_parameter",
        "update_formula": optimizer,
        "n_moments": COUNTS[optimizers.N_MOMENTS[optimizer]].__name__,
    }


def _answer(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _scope(element: str, names: dict[str, Any], formulas: dict[str, str]) -> dict[str, Any]:
    """Return a scope with the templates of this kernel and everything that they need."""
    scope = new_scope(element)
    scope |= names | persistent.CONSTANTS | target.arrivals()
    scope |= {
        "Net": persistent.Net,
        "real_bits": ITEMSIZE[element].bit_length() - 1,
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
