"""Servers of files on this machine: one that fails as it is asked to, of objects and of pages."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import struct
import threading
from collections import Counter, defaultdict
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest


class FlakyServer(http.server.ThreadingHTTPServer):
    """Objects by path, and for each path what the next answers do: ``503``, ``short``, ``reset``, ``drop``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.objects: dict[str, bytes] = {}
        self.faults = defaultdict(list)
        self.requests = Counter()
        self.ranges = []
        self.has_tags = self.has_times = True
        self.page_size = 1000

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A connection that the client gives up is no news."""


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FlakyServer

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        server, parts = self.server, urlsplit(self.path)
        path = unquote(parts.path)
        server.requests[f"{self.command} {path}"] += 1
        faults = server.faults[path]
        fault = faults.pop(0) if faults else None
        if fault == "replaced":
            server.objects[path] = server.objects[path][::-1] + b"new"
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        if fault in ("reset", "drop"):
            self.close_connection = True
        elif fault is not None and fault.isdecimal():
            self._send(int(fault), b"<Error><Code>SlowDown</Code></Error>")
        elif "list-type" in parse_qs(parts.query):
            self._send(200, self._listing(path.strip("/"), {k: v[0] for k, v in parse_qs(parts.query).items()}))
        elif path in server.objects:
            self._send_object(server.objects[path], fault)
        elif path.endswith("/"):
            self._send(200, self._page(path))
        elif any(key.startswith(f"{path}/") for key in server.objects):
            self._send(301, b"", {"Location": f"{quote(path)}/"})
        else:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def _send_object(self, content, fault):
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        match = self.headers["If-Match"]
        if match not in (None, tag) and self.server.has_tags:
            self._send(412, b"")
            return
        headers, status, body = {}, 200, content
        if self.server.has_times:
            headers["Last-Modified"] = f"Sun, 29 Nov 2026 20:59:{len(content) % 60:02} GMT"
        if self.server.has_tags:
            headers["ETag"] = tag
        if self.headers["Range"]:
            self.server.ranges.append(self.headers["Range"])
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            status, body = 206, content[start:]
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if fault == "short":
            self.close_connection = True
            self._send(status, body[: len(body) // 2], headers | {"Content-Length": str(len(body))})
        else:
            self._send(status, body, headers)

    def _listing(self, bucket, query):
        after = query.get("continuation-token") or query.get("start-after", "")
        keys = sorted(path.removeprefix(f"/{bucket}/") for path in self.server.objects)
        keys = [key for key in keys if key.startswith(query.get("prefix", "")) and key > after]
        more = len(keys) > self.server.page_size
        found = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        for key in keys[: self.server.page_size]:
            content = self.server.objects[f"/{bucket}/{key}"]
            found += (
                f"<Contents><Key>{key}</Key><LastModified>2026-11-29T20:59:12.000Z</LastModified>"
                f"<ETag>&quot;{hashlib.md5(content).hexdigest()}&quot;</ETag><Size>{len(content)}</Size></Contents>"
            )
        if more:
            found += f"<NextContinuationToken>{keys[self.server.page_size - 1]}</NextContinuationToken>"
        return f"<ListBucketResult>{found}</ListBucketResult>".encode()

    def _page(self, path):
        below = {key.removeprefix(path) for key in self.server.objects if key.startswith(path)}
        names = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in below})
        links = '<a href="../">up</a><a href="?C=M">sort</a><a href="https://elsewhere.invalid/x.txt">x</a>'
        links += "".join(f'<a href="{quote(name)}">{name}</a>' for name in names)
        return links.encode()

    def _send(self, status, body, headers=None):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def flaky(monkeypatch):
    """A server of objects and of pages, which the environment says how to reach; pauses between tries are short."""
    server = FlakyServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFLAKY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "flaky-server-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr("curator_core.storage.objects.retrying.FIRST_PAUSE_S", 0.001)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
