"""The folder between ``run_pipeline(backend="dagster")`` and the steps of its run: everything in it is sealed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from curator_core import IndexResult
from curator_core.backends import Chunk, WorkerSetup
from curator_core.errors import ConfigError
from curator_core.run import new_key, opened, seal, sealed, unseal
from curator_core.storage import write_private

_KEY = "CURATOR_DAGSTER_KEY"
"""Variable of the environment with the key: others see the arguments of a process, but not its environment."""
_SIZE_BYTES = 8

Executor = tuple[str, dict[str, Any]]
"""Name and configuration."""


@dataclass(frozen=True)
class Spool:
    """What a run lays down for its steps, and they for it; no process opens what another user put there."""

    folder: Path
    """Where it lies, on a disk that all steps see."""
    key: bytes = field(repr=False)
    """What opens it."""

    @classmethod
    def new(cls, folder: Path, setup: WorkerSetup, executor: Executor, batches: Sequence[Chunk]) -> Spool:
        """Lay down what a run is to do, in an empty folder that nobody else may enter."""
        spool = cls(folder, new_key())
        seal(folder / "job", (executor, len(batches)), spool.key)
        seal(folder / "setup", setup, spool.key)
        for number, batch in enumerate(batches):
            seal(folder / f"{number}.batch", batch, spool.key)
        if not _is_inherited(executor):
            write_private(folder / "key", spool.key)
        return spool

    @classmethod
    def found(cls, folder: Path) -> Spool:
        """The same in a step of the run."""
        given = os.environ.get(_KEY)
        return cls(folder, bytes.fromhex(given) if given else (folder / "key").read_bytes())

    @property
    def environment(self) -> dict[str, str]:
        """What the processes of the run need besides."""
        return {_KEY: self.key.hex()}

    @property
    def executor(self) -> Executor:
        """The executor of the run."""
        return self._job[0]

    @property
    def n_batches(self) -> int:
        """How many steps process items."""
        return self._job[1]

    @property
    def _job(self) -> tuple[Executor, int]:
        return cast("tuple[Executor, int]", unseal(self.folder / "job", self.key))

    def setup(self) -> WorkerSetup:
        """The pipeline, and what it needs."""
        return cast("WorkerSetup", unseal(self.folder / "setup", self.key))

    def batch(self, number: int) -> Chunk:
        """The items of a step."""
        return cast("Chunk", unseal(self.folder / f"{number}.batch", self.key))

    def frame(self, handed: list[IndexResult] | ConfigError) -> bytes:
        """What a step appends to its file of results."""
        content = sealed(handed, self.key)
        return len(content).to_bytes(_SIZE_BYTES, "big") + content

    def handed_over(self, path: Path, start: int) -> Iterator[tuple[Any, int]]:
        """What a step appended since, and where each ends."""
        with path.open("rb") as file:  # often: what was read before may be long
            file.seek(start)
            content = file.read()
        begin = 0
        while begin + _SIZE_BYTES <= len(content):
            end = begin + _SIZE_BYTES + int.from_bytes(content[begin : begin + _SIZE_BYTES], "big")
            if end > len(content):  # still being written
                break
            yield opened(content[begin + _SIZE_BYTES : end], self.key, path), start + end
            begin = end


def _is_inherited(executor: Executor) -> bool:
    """Whether the steps' processes have the environment of the run's: those of a cluster elsewhere do not."""
    name, config = executor
    cluster: Mapping[str, Any] = config.get("cluster") or {"local": {}}
    return name in ("in_process", "multiprocess") or (name == "dask" and "local" in cluster)
