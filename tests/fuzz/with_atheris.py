"""The same targets under atheris, which sees the branches that an input reaches (https://github.com/google/atheris)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

MAX_MEMORY_MIB = 2048
MAX_SECONDS = 10
INSTRUMENTED = ["accelnn.data", "accelnn.network", "accelnn.training.checkpoints", "accelnn.errors"]


def fuzz_with_atheris(reader: str, executions: int, seed: int) -> None:
    """Run ``executions`` inputs; libFuzzer ends the process, with 0 if nothing was found."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):  # at their first import, so this is the first
        from tests.fuzz.targets import MAX_INPUT_BYTES, TARGETS

    target = TARGETS[reader]()
    folder = Path(tempfile.mkdtemp(prefix=f"accelnn-fuzz-{reader}-"))
    corpus, path = folder / "corpus", folder / "input"
    corpus.mkdir()
    for number, data in enumerate(target.seeds):
        (corpus / f"seed{number}").write_bytes(data)
    words = "\n".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"' for token in target.tokens)
    (folder / "words").write_text(words + "\n")
    arguments = [
        sys.argv[0], str(corpus), f"-runs={executions}", f"-seed={seed + 1}", f"-max_len={MAX_INPUT_BYTES}",
        f"-dict={folder / 'words'}", f"-artifact_prefix={folder}/", f"-rss_limit_mb={MAX_MEMORY_MIB}",
        f"-timeout={MAX_SECONDS}", "-print_final_stats=1",
    ]  # fmt: skip
    print(f"{reader}: in {folder}", flush=True)
    atheris.Setup(arguments, lambda data: target.run(data, path) and None)
    atheris.Fuzz()
