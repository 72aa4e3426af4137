"""What the signature of a constructor or a function is good for: readable objects, and answers to wrong calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, ParamSpec, TypeVar

from accelnn.errors import ArgumentTypeError
from accelnn.habits import OTHER_ARGUMENTS, PARTICULAR, answer_to_argument

P = ParamSpec("P")
R = TypeVar("R")
Kind = TypeVar("Kind", bound=type[Any])

_MISSING = object()


def by_signature(kind: Kind) -> Kind:
    """Let objects of a class print as the call that makes them, and its constructor answer wrong calls.

    A class decorator, above ``@dataclass`` where there is one. Every argument of the constructor is to be an attribute
    of the same name; ``_implied`` has the names of those that would be the same if they were left out. Derived classes
    inherit the way of printing.
    """
    type.__setattr__(kind, "__repr__", constructor_call)
    if inspect.isfunction(kind.__init__):
        type.__setattr__(kind, "__init__", answering(kind.__init__))
    return kind


def answering(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with an ArgumentTypeError of ours where its arguments do not fit its signature."""

    @functools.wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # it was called, and failed further down
            raise ArgumentTypeError(_complaint(function, args, kwargs) or str(error)) from None

    return answered


def constructor_call(thing: object) -> str:
    """Return the call that makes ``thing``, as ``Dense(4, 'relu')``: its arguments but for those at their defaults.

    What is no attribute of ``thing`` cannot be shown; it is ``<...>`` as in Python where such an argument is required.
    """
    parameters = _parameters(type(thing))
    values = {name: getattr(thing, name, _MISSING) for name in parameters}
    given = {name: value for name, value in values.items() if _is_worth_showing(thing, parameters[name], value)}
    if any(value is _MISSING for value in given.values()):
        return object.__repr__(thing)
    return f"{type(thing).__name__}({', '.join(_arguments(parameters, given))})"


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(kind).parameters
    return {name: parameter for name, parameter in found.items() if parameter.kind in named}


def _is_worth_showing(thing: object, parameter: inspect.Parameter, value: object) -> bool:
    if parameter.default is parameter.empty:
        return True
    if value is _MISSING or parameter.name in getattr(thing, "_implied", ()):
        return False
    plain = value is None or isinstance(value, (bool, int, float, str))  # of others "==" may mean anything
    return not (plain and value == parameter.default)


def _arguments(parameters: Mapping[str, inspect.Parameter], given: Mapping[str, object]) -> Iterator[str]:
    """Yield the arguments: the first and required ones by position, and text, which says itself what it is."""
    unbroken = True
    for index, (name, parameter) in enumerate(parameters.items()):
        unbroken = unbroken and name in given and parameter.kind is not parameter.KEYWORD_ONLY
        if name in given:
            clear = index == 0 or parameter.default is parameter.empty or isinstance(given[name], str)
            value = _text(given[name])
            yield value if unbroken and clear else f"{name}={value}"
            unbroken = unbroken and clear


def _text(value: object) -> str:
    """Return what to type for a value: of a path, what a user would."""
    return repr(str(value) if isinstance(value, PurePath) else value)


def _complaint(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the arguments of a call, None if that cannot be told."""
    parameters = {name: p for name, p in inspect.signature(function).parameters.items() if name != "self"}
    is_method = len(parameters) < len(inspect.signature(function).parameters)
    called = type(args[0]).__name__ if function.__name__.startswith("__") else function.__name__
    positional = [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
    unknown = [name for name in kwargs if name not in parameters]
    n_given = len(args) - is_method
    if unknown:
        return f"{called} has no argument {unknown[0]!r}: {answer_to_argument(unknown[0], parameters)}"
    if n_given > len(positional):
        more = [name for name in parameters if name not in positional]
        named = f"give the others by name, such as {more[0]}=..." if more else "leave the others out"
        known = f"it takes {', '.join(positional)}; {named}{PARTICULAR.get(f'{called} was given', '')}"
        return f"{called} was given {n_given} arguments by position: {known}"
    filled = {*positional[:n_given], *kwargs}
    missing = [name for name, p in parameters.items() if p.default is p.empty and name not in filled]
    if missing:
        call = ", ".join(name for name, p in parameters.items() if p.default is p.empty)
        way = OTHER_ARGUMENTS.get(missing[0], f"call {called}({call}){PARTICULAR.get(f'{called} lacks', '')}")
        return f"{called} lacks {' and '.join(missing)}: {way}"
    return None
