"""An object store that tests and measurements start for themselves: moto's S3, its requests counted and disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

KEY, SECRET = "AKIACURATORTESTS", "c0ffee-c0ffee-c0ffee-c0ffee"
"""The only credentials that the server takes; no message shows the secret."""
BUCKET = "datasets"
"""The bucket that is there."""
_AUTHORIZATION = {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20200101/us-east-1/s3/aws4_request"}
_WRITES = ("PUT", "POST", "DELETE")
_REFUSAL = "<Error><Code>{code}</Code><Message>{code}</Message></Error>"


@dataclass
class ObjectServer:
    """A server that runs, in a process of its own."""

    url: str
    """Its address."""
    process: subprocess.Popen[str]
    """It."""

    @property
    def environment(self) -> dict[str, str]:
        """What clients find in their environment."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def counts(self) -> dict[str, int]:
        """Requests by method, and bytes of their bodies as ``PUT bytes``, since this was asked for last."""
        found: dict[str, int] = self._ask("counts")
        return found

    def disturb(self, status: int, times: int, method: str = "PUT", part: str = "") -> None:
        """Answer the next requests of a method, whose path holds `part`, with a status."""
        self._ask("disturb", {"status": status, "times": times, "method": method, "part": part})

    def kill_at(self, n: int, process: int) -> None:
        """Kill a process, by its id, when the n-th request from now on arrives that would write; it is not done."""
        self._ask("kill", {"after": n - 1, "process": process})

    def put(self, key: str, content: bytes) -> None:
        """Make an object in `BUCKET`, or replace one, without the client under test."""
        self._request("PUT", key, content)

    def delete(self, key: str) -> None:
        """Remove an object of `BUCKET`."""
        self._request("DELETE", key)

    def stop(self) -> None:
        """End it at once, as a lost connection does."""
        self.process.kill()
        self.process.wait()

    def _request(self, method: str, key: str, content: bytes | None = None) -> None:
        url = f"{self.url}/{BUCKET}/{quote(key)}"
        headers = _AUTHORIZATION | {"Content-Type": "application/octet-stream"}  # or it is taken for a form
        request = urllib.request.Request(url, content, headers, method=method)  # noqa: S310 - its own
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - as above
            pass

    def _ask(self, what: str, content: object = None) -> Any:
        request = urllib.request.Request(f"{self.url}/_{what}", json.dumps(content).encode())  # noqa: S310 - its own
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return json.loads(answer.read())


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """A server of its own, which holds an empty bucket named `BUCKET`."""
    command = [sys.executable, __file__]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield ObjectServer(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within, the environment has these variables."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass
class _Disturbed:
    """An application, behind what counts and disturbs its requests."""

    app: Callable[..., Iterable[bytes]]
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, Any]] = field(default_factory=list)
    kill: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path.startswith("/_"):
            content = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            return self._control(path, content, start_response)
        with self.lock:
            self.counts[method] += 1
            self.counts[f"{method} bytes"] += int(environ.get("CONTENT_LENGTH") or 0)
            status = self._fault(method, path) if self._survives(method) else HTTPStatus.GONE
        if f"Credential={KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return _refused(403, "InvalidAccessKeyId", environ, start_response)
        if status is not None:
            return _refused(status, "SlowDown", environ, start_response)
        return self.app(environ, start_response)

    def _control(self, path: str, content: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self.lock:
            answer = dict(self.counts)
            if path == "/_counts":
                self.counts.clear()
            elif path == "/_kill":
                self.kill = content
            else:
                self.faults = [content]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _survives(self, method: str) -> bool:
        """Whether a request is carried out; the client of one that is not is killed."""
        if not self.kill.get("process") or method not in _WRITES:
            return True
        self.kill["after"] -= 1
        if self.kill["after"] == -1:
            os.kill(self.kill["process"], signal.SIGKILL)
        return self.kill["after"] >= 0

    def _fault(self, method: str, path: str) -> int | None:
        for fault in self.faults:
            if fault["times"] and fault["method"] == method and fault["part"] in path:
                fault["times"] -= 1
                self.counts["disturbed"] += 1
                status: int = fault["status"]
                return status
        return None


def _refused(status: int, code: str, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response(f"{status} {code}", [("Content-Type", "application/xml")])
    return [_REFUSAL.format(code=code).encode()]


def _serve() -> None:
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - the server's process alone needs them
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415 - as above

    app = _Disturbed(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.port}/{BUCKET}"
    request = urllib.request.Request(address, b"", _AUTHORIZATION, method="PUT")
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - its own
        print(server.port, flush=True)
    thread.join()


if __name__ == "__main__":
    _serve()
