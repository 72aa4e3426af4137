"""Fixtures: small data sets, a mirror on this machine, and no contact with the user's own folders."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from data_stand_ins import Mirror, TinySet, idx_bytes

from accelnn.data import mnist
from accelnn.data.mnist import IdxFile, ImageSet


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests off the user's cache, data folder and proxy."""
    monkeypatch.setenv("ACCELNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("ACCELNN_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def make_tiny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TinySet]:
    """Register a tiny set in place of a real one (its name and subfolder are real)."""

    def make(real: ImageSet = mnist.MNIST, mirrors: tuple[str, ...] = (), seed: int = 0) -> TinySet:
        rng = np.random.default_rng(seed)
        arrays = [
            rng.integers(0, high, (n, *pixels), np.uint8) for n in (6, 3) for high, pixels in ((256, (2, 2)), (10, ()))
        ]
        contents = {
            file.name: idx_bytes(array.astype(np.uint8)) for file, array in zip(real.files, arrays, strict=True)
        }
        files = tuple(
            IdxFile(name, array.shape, hashlib.sha256(contents[name]).hexdigest())
            for name, array in zip(contents, arrays, strict=True)
        )
        image_set = ImageSet(real.name, files, mirrors, real.subfolders, real.class_names)  # type: ignore[arg-type]
        monkeypatch.setitem(mnist.IMAGE_SETS, real.name, image_set)
        return TinySet(image_set, contents)

    return make


@pytest.fixture
def make_mirror() -> Iterator[Callable[[], Mirror]]:
    servers = []

    def make() -> Mirror:
        mirror = Mirror("")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                mirror.asked.append(name)
                status, body = mirror.answers.get(name, (404, b"not here"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        mirror.url = f"http://127.0.0.1:{server.server_port}/set/"
        return mirror

    yield make
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def dead_mirror() -> str:
    """An address where nothing listens: the connection is refused at once."""
    return "http://127.0.0.1:9/set/"
