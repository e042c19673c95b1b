"""Faults by table: which item fails, hangs or kills its process, at which attempt."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from curator_core.errors import ComponentError
from curator_core.pipeline.components import Source

Fault = str | float
"""``"ok"``, ``"log"`` (a warning), ``"fail"``, ``"kill"`` (SIGKILL to the own process), or seconds to sleep."""


class FaultySource(Source[Any]):
    """Another source, some items of which misbehave; every attempt is counted on disk.

    ``{"b.txt": ["fail", "kill", 0.5]}`` fails at the first attempt, kills the process at the second, takes
    half a second at the third and works from then on.

    Parameters
    ----------
    source
        Where the items really come from.
    log
        Folder in which attempts are counted; survives the death of any process.
    faults
        Faults of each attempt, by key.
    pause_s
        Time that every attempt takes, seconds.
    """

    def __init__(
        self, source: Source[Any], log: str, faults: Mapping[str, Sequence[Fault]] | None = None, pause_s: float = 0.0
    ) -> None:
        self.source = source
        self.log = Path(log)
        self.faults = dict(faults or {})
        self.pause_s = pause_s

    def __len__(self) -> int:
        return len(self.source)

    def key(self, index: int) -> str:
        return self.source.key(index)

    def fingerprint(self, index: int) -> str | None:
        return self.source.fingerprint(index)

    def item_path(self, index: int) -> str | None:
        return self.source.item_path(index)

    def partition_indices(self, indices: Sequence[int]) -> list[list[int]] | None:
        return self.source.partition_indices(indices)

    def __getitem__(self, index: int) -> Generator[Any, None, None]:
        key = self.key(index)
        attempt = self._count(key)
        planned = self.faults.get(key, ())
        if self.pause_s:
            time.sleep(self.pause_s)
        if attempt <= len(planned):
            _act(planned[attempt - 1], key, attempt)
        yield from self.source[index]

    def _count(self, key: str) -> int:
        self.log.mkdir(parents=True, exist_ok=True)
        with (self.log / quote(key, safe="")).open("ab") as file:
            file.write(b".")
            file.flush()
            return file.tell()


def _act(fault: Fault, key: str, attempt: int) -> None:
    if fault == "fail":
        raise ComponentError(f"planned failure of {key}, attempt {attempt}", component="FaultySource", key=key)
    if fault == "log":
        logging.getLogger("curator.testing").warning("attempt %d of %s", attempt, key)
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if not isinstance(fault, str):
        time.sleep(fault)


def invocations(log: str | Path) -> dict[str, int]:
    """Number of attempts by key, from the folder of a `FaultySource`."""
    folder = Path(log)
    return {unquote(path.name): path.stat().st_size for path in sorted(folder.iterdir())} if folder.exists() else {}
