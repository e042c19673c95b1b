"""Reads objects by two processes, into one JSON file an item."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator

from curator_core import FileItem, FileSource, Pipeline, run_pipeline
from curator_core.testing import JsonSink


class Digests(FileSource[str]):
    """Checksums of files."""

    def read(self, item: FileItem) -> Iterator[str]:
        yield hashlib.sha256(item.path.read_bytes()).hexdigest()


if __name__ == "__main__":
    url, cache_size = sys.argv[1:]
    pipeline = Pipeline(Digests(url, cache_size=cache_size), sink=JsonSink("out"), db_file="m.db", resume=True)
    run_pipeline(pipeline, backend="process_pool", n_jobs=2, progress=False)
