"""A mirror cannot make a download read something else: a file of this machine, or a page without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from accelnn.data.download import download
from accelnn.errors import DataError


@pytest.fixture
def redirecting_mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mirror that sends everybody to the place after ``to/``, or back to itself."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", self.path.partition("to/")[2] or self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("where", ["to/file://{}", "to/file:{}", "to/ftp://127.0.0.1{}", "circle"])
def test_redirects_that_are_not_followed(where: str, redirecting_mirror: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of this machine")
    seen = []
    mirror = redirecting_mirror + where.format(secret) + "#"
    with pytest.raises(DataError, match=r"f could not be downloaded \(127\.0\.0\.1:"):
        download("f", [mirror], tmp_path / "new", limit_bytes=100, verify=seen.append)
    assert seen == []
    assert list((tmp_path / "new").iterdir()) == []
