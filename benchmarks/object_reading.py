"""Sources of files in an object store, against its client alone; and a listing of many keys."""

from __future__ import annotations

import http.server
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import obstore

from benchmarks.object_server import BUCKET, environment, object_server
from benchmarks.timing import Row, best_seconds, seconds
from curator_core import FileItem, FileSource
from curator_core.storage.objects.stores import ObjectUrl, object_store

PAGE_SIZE = 1000
"""Keys of one answer, as object stores have it."""


class Contents(FileSource[int]):
    """Lengths of files, which are read whole."""

    def read(self, item: FileItem) -> Iterator[int]:
        """Read the local copy."""
        yield len(item.path.read_bytes())


def object_rows(n_large: int = 20, n_small: int = 200, n_keys: int = 100_000) -> Iterator[Row]:
    """Time of reading over that of obstore's own requests, and of a listing per key.

    Parameters
    ----------
    n_large, n_small
        Objects of 4 MB and of 10 kB.
    n_keys
        Objects that are listed.
    """
    with object_server() as server, environment(server.environment):
        for name, n_objects, size in (("4 MB", n_large, 4_000_000), ("10 kB", n_small, 10_000)):
            for number in range(n_objects):
                server.put(f"{size}/{number:04}.bin", os.urandom(size))
            yield from _reading_rows(f"{n_objects} objects of {name}", f"s3://{BUCKET}/{size}")
    with _many_keys(n_keys) as address, environment(server.environment | {"AWS_ENDPOINT_URL": address}):
        yield _listing_row(n_keys)


def _reading_rows(what: str, url: str) -> Iterator[Row]:
    def alone() -> None:
        store = object_store(ObjectUrl.parse(url))
        for metas in obstore.list(store, ObjectUrl.parse(url).key):
            for meta in metas:
                len(obstore.get(store, meta["path"]).bytes())

    def through_source() -> None:
        with tempfile.TemporaryDirectory() as cache, environment({"CURATOR_DOWNLOAD_CACHE_DIR": cache}):
            _read(Contents(url))

    taken = best_seconds({"alone": alone, "source": through_source}, 3)
    with tempfile.TemporaryDirectory() as cache, environment({"CURATOR_DOWNLOAD_CACHE_DIR": cache}):
        source = Contents(url)
        _read(source)
        again = min(seconds(lambda: _read(source)) for _ in range(3)) / len(source)
    per_item = taken["source"] / len(source) * 1e3
    text = f"{per_item:.1f} ms each, {taken['source'] / taken['alone']:.2f} × obstore alone"
    yield Row(f"{what} from moto, through a source with an empty cache", text)
    yield Row(f"{what}, from the cache", f"{again * 1e3:.2f} ms each")


def _read(source: Contents) -> None:
    for index in range(len(source)):
        for _ in source[index]:
            pass


def _listing_row(n_keys: int) -> Row:
    def alone() -> None:
        n_listed = sum(len(metas) for metas in obstore.list(object_store(ObjectUrl.parse("s3://b/raw")), "raw"))
        assert n_listed == n_keys

    def source() -> None:
        assert len(Contents("s3://b/raw", "*.bin")) == n_keys

    taken = best_seconds({"alone": alone, "source": source}, 3)
    text = f"{taken['source'] / n_keys * 1e6:.1f} µs each, {taken['source'] / taken['alone']:.2f} × obstore alone"
    return Row(f"listing {n_keys:,} objects", text)


@contextmanager
def _many_keys(n_keys: int) -> Iterator[str]:
    """Address of a server that lists so many objects, whose answers are made beforehand."""
    pages = [_page(start, min(start + PAGE_SIZE, n_keys), n_keys) for start in range(0, n_keys, PAGE_SIZE)]

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            token = parse_qs(urlsplit(self.path).query).get("continuation-token", ["0"])[0]
            self.send_response(200)
            self.send_header("Content-Length", str(len(pages[int(token)])))
            self.end_headers()
            self.wfile.write(pages[int(token)])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _page(start: int, stop: int, n_keys: int) -> bytes:
    entry = (
        "<Contents><Key>raw/{:09}.bin</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        '<ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag><Size>1</Size></Contents>'
    )
    more = stop < n_keys
    token = f"<NextContinuationToken>{stop // PAGE_SIZE}</NextContinuationToken>" if more else ""
    found = "".join(entry.format(number) for number in range(start, stop))
    return f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{found}</ListBucketResult>".encode()
