"""Journals: how a worker that may outlive its coordinator hands its results back.

One writer per file, one result per line. A process killed while writing leaves a torn last line, which
is cut off on reading. The next coordinator folds the journals into the database (`StoreWriter.fold`).
"""

from __future__ import annotations

import errno
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from curator_core.records import IndexResult

logger = logging.getLogger("curator")


def journal_directory(db_path: str | os.PathLike[str]) -> Path:
    """Folder of the journals that belong to a database."""
    path = Path(db_path)
    return path.with_name(f"{path.name}.journals")


class JournalWriter:
    """Appends index results to a file of its own.

    Parameters
    ----------
    directory
        Folder of journals, see `journal_directory`; created when absent.
    config_hash
        Configuration the results belong to; part of the file name.
    """

    def __init__(self, directory: str | os.PathLike[str], config_hash: str) -> None:
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{config_hash[:16]}-{uuid.uuid4().hex}.jsonl"
        self._file = self.path.open("ab", buffering=0)

    def append(self, result: IndexResult) -> None:
        """Write one result; it survives the death of this process from here on."""
        line = result.to_json().encode() + b"\n"
        written = self._file.write(line)
        if written != len(line):
            raise OSError(errno.ENOSPC, "no space left for the journal", str(self.path))

    def close(self) -> None:
        """Make the journal durable; an empty one is removed."""
        if self._file.closed:
            return
        os.fsync(self._file.fileno())
        is_empty = self._file.tell() == 0
        self._file.close()
        if is_empty:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_journals(directory: str | os.PathLike[str], config_hash: str) -> list[tuple[Path, list[IndexResult]]]:
    """Journals of one configuration with their whole records, oldest first."""
    found = []
    for path in sorted(Path(directory).glob(f"{config_hash[:16]}-*.jsonl"), key=_age):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # another coordinator folded it meanwhile
            continue
        whole = content[: content.rfind(b"\n") + 1]
        found.append((path, list(_results(path, whole.splitlines()))))
    return found


def _results(path: Path, lines: list[bytes]) -> Iterator[IndexResult]:
    for number, line in enumerate(lines, start=1):
        try:
            yield IndexResult.from_json(line.decode())
        except ValueError as exc:
            logger.warning("%s, line %d is no index result; that index is processed again (%s)", path, number, exc)


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except FileNotFoundError:
        return 0, path.name
