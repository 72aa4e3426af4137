"""Every CUDA kernel takes the arguments of its CPU namesake in the same order, and behind them documented ones.

The files with the templates import no CUDA package, so this runs everywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accelnn_kernels import activations, dropout, losses, optimizers
from accelnn_kernels.catalog import SIGNATURES, python_kernel
from accelnn_kernels.cuda import kinds, persistent
from accelnn_kernels.cuda.inventory import variants_of

ON_THE_HOST_ONLY = frozenset(
    {"gather_labels", "gather_weights", "gemm", "matmul", "matmul_transposed", "weight_gradient"}
)
"""CPU kinds without a CUDA namesake: the loss looks up labels and weights itself, and cuBLAS multiplies."""

KERNELS = [(kind, variant) for kind in kinds.KINDS for variant in variants_of(kind)]


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's parameters."""
    return function.__code__.co_varnames[: function.__code__.co_argcount]


def objection(cpu: tuple[str, ...], cuda: tuple[str, ...]) -> str:
    """Return what is wrong with the parameters of a CUDA kernel, "" if they are fine."""
    if cuda[: len(cpu)] != cpu:
        return f"it takes {cuda[: len(cpu)]} where the CPU's takes {cpu}"
    unknown = [name for name in cuda[len(cpu) :] if name not in kinds.EXTRA]
    return f"{unknown} are in no documentation" if unknown else ""


def catalog_document() -> str:
    """Return the docstring of the CUDA catalog, which itself needs CUDA packages to be imported."""
    path = Path(kinds.__file__).with_name("catalog.py")
    return ast.get_docstring(ast.parse(path.read_text())) or ""


@pytest.mark.parametrize(("kind", "variant"), KERNELS)
def test_parameters_are_those_of_the_cpu(kind: str, variant: str) -> None:
    template, _ = kinds.KINDS[kind].template(variant)
    if kind in kinds.WITHOUT_CPU_NAMESAKE:
        assert kind not in SIGNATURES
        return
    cpu = parameters_of(python_kernel(kind, variant, "float32"))
    assert objection(cpu, parameters_of(template)) == ""


def test_every_kind_of_the_cpu_has_a_namesake_or_a_reason() -> None:
    assert set(SIGNATURES) - set(kinds.KINDS) == ON_THE_HOST_ONLY
    assert set(kinds.KINDS) >= kinds.WITHOUT_CPU_NAMESAKE


def test_additional_parameters_are_documented_and_used() -> None:
    words = {word.strip("`,.;:()") for word in catalog_document().split()}
    assert set(kinds.EXTRA) <= words
    templates = [kinds.KINDS[kind].template(variant)[0] for kind, variant in KERNELS]
    used = {name for template in (*templates, persistent.persistent_steps) for name in parameters_of(template)}
    assert set(kinds.EXTRA) <= used
    assert used >= kinds.FACTORS


@pytest.mark.parametrize(
    ("cuda", "complaint"),
    [
        (("x", "y", "size"), ""),
        (("x", "y", "size", "parts", "counter"), ""),
        (("y", "x", "size"), "where the CPU's takes"),
        (("x", "size", "y"), "where the CPU's takes"),
        (("x", "y"), "where the CPU's takes"),
        (("parts", "x", "y", "size"), "where the CPU's takes"),
        (("x", "y", "size", "parts", "secret"), "['secret'] are in no documentation"),
    ],
)
def test_the_checker_finds_what_is_wrong(cuda: tuple[str, ...], complaint: str) -> None:
    found = objection(("x", "y", "size"), cuda)
    assert complaint in found
    assert bool(found) == bool(complaint)


def test_functions_that_kernels_call_have_names_of_their_own() -> None:
    """All of them are bound into one scope, where a second function of a name would silently take the first's place."""
    formulas = (*activations.TEMPLATES, *losses.TEMPLATES, *optimizers.TEMPLATES, *dropout.TEMPLATES)
    names = [template.__name__ for template in (*formulas, *kinds.TEMPLATES, *persistent.TEMPLATES)]
    assert sorted(set(names)) == sorted(names)
