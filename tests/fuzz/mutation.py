"""A small fuzzer that needs nothing installed: it changes known inputs and keeps those that lead to something new."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.targets import MAX_INPUT_BYTES, RAW, SEPARATOR, Target

_NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1)
_MAX_CORPUS = 2000


class Mutator:
    """Makes new inputs out of old ones, the same ones for the same seed."""

    def __init__(self, target: Target, seed: int) -> None:
        self._random = random.Random(seed)
        self._target = target
        self.corpus = list(target.seeds)
        self._readable = list(target.seeds)
        self._seen: set[str] = set()

    def next_input(self) -> bytes:
        """Return an input that was not tried before, most probably."""
        # What is refused at once leads nowhere, so half of the inputs come from those that are read.
        data = bytearray(self._random.choice(self._random.choice((self.corpus, self._readable))))
        for _ in range(self._random.choice((1, 1, 2, 4, 8))):
            self._random.choice(_CHANGES)(self, data)
        return bytes(data[:MAX_INPUT_BYTES])

    def learn(self, data: bytes, outcome: str) -> None:
        """Keep an input that was refused in other words than those before, and some of those that are read."""
        if outcome == "read":
            if len(self._readable) < _MAX_CORPUS and self._random.random() < 0.1:
                self._readable.append(data)
            return
        words = re.findall(r"\b[a-z]{3,}\b", re.sub(r"b?'[^']*'|b?\"[^\"]*\"", "", outcome))
        reason = " ".join(words[:8])
        if reason not in self._seen and len(self.corpus) < _MAX_CORPUS:
            self._seen.add(reason)
            self.corpus.append(data)

    def at(self, data: bytearray, room: int = 0) -> int:
        """Return a place in ``data``, ``room`` bytes before its end at least if there are so many."""
        return self._random.randrange(max(1, len(data) - room + 1))

    def flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def set_byte(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.choice((0, 1, 10, 32, 44, 45, 48, 57, 127, 128, 255))

    def set_number(self, data: bytearray) -> None:
        code = self._random.choice(("<H", ">H", "<I", ">I"))
        size = struct.calcsize(code)
        if len(data) >= size:
            at = self.at(data, size)
            value = self._random.choice(_NUMBERS) % 2 ** (8 * size)
            data[at : at + size] = struct.pack(code, value)

    def insert(self, data: bytearray) -> None:
        data[(at := self.at(data)) : at] = self._random.randbytes(self._random.choice((1, 2, 4, 16)))

    def insert_token(self, data: bytearray) -> None:
        if self._target.tokens:
            at = self.at(data)
            token = self._random.choice(self._target.tokens)
            data[at : at + self._random.choice((0, len(token)))] = token

    def replace_digits(self, data: bytearray) -> None:
        """Put another number in the place of one that is written in digits, as in headers and descriptions."""
        numbers = list(re.finditer(rb"-?\d+(\.\d+)?", data))
        if numbers:
            number = self._random.choice(numbers)
            data[number.start() : number.end()] = self._random.choice(
                (b"0", b"-1", b"2", b"99999999999999999999", b"1e309", b"0.5", b"4294967296", b"3", b"9" * 400)
            )

    def cut(self, data: bytearray) -> None:
        at = self.at(data)
        del data[at : at + self._random.choice((1, 2, 8, 64, 4096))]

    def repeat(self, data: bytearray) -> None:
        at = self.at(data)
        part = data[at : at + self._random.choice((1, 4, 32, 256))]
        data[at:at] = part * self._random.choice((1, 2, 16))

    def splice(self, data: bytearray) -> None:
        other = self._random.choice(self.corpus)
        at = self.at(data)
        data[at:] = other[self.at(bytearray(other)) :]

    def swap_part(self, data: bytearray) -> None:
        """Replace a part by one of another input."""
        other = self._random.choice(self.corpus)
        if self._target.built is not None and not data.startswith(RAW) and not other.startswith(RAW):
            parts, others = bytes(data).split(SEPARATOR), other.split(SEPARATOR)
            parts[self._random.randrange(len(parts))] = self._random.choice(others)
            data[:] = SEPARATOR.join(parts)


_CHANGES: list[Callable[[Mutator, bytearray], None]] = [
    Mutator.flip, Mutator.set_byte, Mutator.set_number, Mutator.insert, Mutator.insert_token, Mutator.replace_digits,
    Mutator.cut, Mutator.repeat, Mutator.splice, Mutator.swap_part,
]  # fmt: skip


def fuzz(target: Target, path: Path, executions: int, seed: int = 0) -> dict[str, int]:
    """Run ``executions`` inputs through ``target`` and count what came of them.

    An input that makes anything but an error of accelnn is kept as ``path`` with ``.crash`` behind, and the error goes
    on its way.
    """
    mutator = Mutator(target, seed)
    counts = {"read": 0, "refused": 0}
    for _ in range(executions):
        data = mutator.next_input()
        try:
            outcome = target.run(data, path)
        except BaseException:
            path.with_suffix(".crash").write_bytes(data)
            raise
        counts["read" if outcome == "read" else "refused"] += 1
        mutator.learn(data, outcome)
    return counts | {"different": len(mutator.corpus)}
