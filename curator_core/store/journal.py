"""Journals: how a worker that may outlive its coordinator hands its results back.

One writer per file, one result per line. A process killed while writing leaves a torn last line, which
is cut off on reading. The next coordinator folds the journals into the database (`StoreWriter.fold`), in
the order in which they were begun: each has a number above those that it found, whatever the clock says.

A writer holds a lock on its journal from before its first line until it is closed, or its process ends. A journal
that is locked is live: what is in it is taken over, and it stays where it is, so that nothing its writer adds is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import os
import time
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from curator_core.errors import OutputError, StoreBusyError, StoreError
from curator_core.records import IndexResult
from curator_core.storage.disk import append_whole, reason
from curator_core.storage.locks import is_locked

logger = logging.getLogger("curator")

_N_PARTS = 3
"""Of a journal's name: configuration, number, identity."""


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

    Raises
    ------
    StoreError
        The journal cannot be made.
    """

    def __init__(self, directory: str | os.PathLike[str], config_hash: str) -> None:
        self._folder, self._prefix = Path(directory), config_hash[:16]
        self._is_resting = False
        self._open()
        _open_journals.add(self)

    def _open(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            while True:
                number = 1 + max((_number(path) for path in self._folder.glob(f"{self._prefix}-*.jsonl")), default=0)
                self.path = self._folder / f"{self._prefix}-{number:06d}-{uuid.uuid4().hex}.jsonl"
                self._file = self.path.open("xb", buffering=0)  # never one that is there, or a link
                if self._lock():
                    break
        except OSError as exc:
            raise StoreError(
                f"A journal cannot be made in {self._folder}: {reason(exc)}. Choose another place for db_file."
            ) from exc

    def _lock(self) -> bool:
        """Make the journal live; ``False`` when a coordinator took it away before."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        if not self.path.exists():
            self._file.close()
        return not self._file.closed

    def rest(self) -> None:
        """Let coordinators take the journal away: nothing is written until the next result."""
        if not self._is_resting:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._is_resting = True

    def append(self, result: IndexResult) -> None:
        """Write one result; it survives the death of this process from here on.

        Raises
        ------
        StoreError
            It cannot be written.
        """
        line = result.to_json().encode() + b"\n"
        if self._is_resting:
            self._is_resting = False
            if not self._lock():
                self._open()
        try:
            append_whole(self._file, line)
        except OutputError as exc:
            raise StoreError(f"The journal {self.path} cannot be written: {reason(exc)}.") from exc

    def _forget(self) -> None:
        """In a forked child: the lock is the parent's, and must end with it."""
        self._file.close()

    def close(self) -> None:
        """Make the journal durable; an empty one is removed."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as exc:
            self._file.close()
            raise StoreError(f"The journal {self.path} cannot be made durable: {reason(exc)}.") from exc
        is_empty = self._file.tell() == 0
        fcntl.flock(self._file, fcntl.LOCK_UN)  # forked children may hold a copy of the descriptor
        self._file.close()
        if is_empty:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_open_journals: weakref.WeakSet[JournalWriter] = weakref.WeakSet()


def _close_in_child() -> None:
    for journal in list(_open_journals):
        journal._forget()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_close_in_child)


def live_journals(directory: str | os.PathLike[str], config_hash: str) -> list[Path]:
    """Journals of one configuration that a process has open for writing at this moment, on whatever host."""
    return [path for path in sorted(Path(directory).glob(f"{config_hash[:16]}-*.jsonl")) if is_locked(path)]


def ended_journals(directory: str | os.PathLike[str], config_hash: str) -> dict[Path, int]:
    """Size of the journals of one configuration that nobody writes any more."""
    found = {}
    for path in Path(directory).glob(f"{config_hash[:16]}-*.jsonl"):
        with contextlib.suppress(FileNotFoundError):  # another coordinator folded it meanwhile
            if not is_locked(path):
                found[path] = path.stat().st_size
    return found


def remove_journal(path: Path, size: int) -> None:
    """Delete a journal that had ended at some size, and was read since; one that has grown stays for the next time."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # a writer that has just made it notices that it is gone
        if os.fstat(file.fileno()).st_size == size:
            path.unlink()


def await_journals(directory: str | os.PathLike[str], config_hash: str, *, timeout_s: float) -> None:
    """Wait until no process writes a journal of one configuration any more.

    Raises
    ------
    StoreBusyError
        One still does after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    for pause in itertools.chain((0.01,) * 100, itertools.repeat(0.25)):
        live = live_journals(directory, config_hash)
        if not live:
            return
        if time.monotonic() >= deadline:
            raise StoreBusyError(
                f"A run is going on: a process that is at work on items writes {live[0]}; wait until it has finished, "
                "or stop it."
            )
        time.sleep(pause)  # a lock has no wait with a time limit


def read_journals(directory: str | os.PathLike[str], config_hash: str) -> list[tuple[Path, list[IndexResult]]]:
    """Journals of one configuration with their whole records, oldest first."""
    found = []
    for path in sorted(Path(directory).glob(f"{config_hash[:16]}-*.jsonl"), key=_age):
        try:
            if not path.is_file():
                logger.warning("%s is no file: it is passed over", path)
                continue
            content = path.read_bytes()
        except FileNotFoundError:  # another coordinator folded it meanwhile
            continue
        except OSError as exc:
            raise StoreError(
                f"The journal {path} cannot be read: {exc.strerror}. It holds results that were not taken over yet: "
                "see that you may read it."
            ) from exc
        whole = content[: content.rfind(b"\n") + 1]
        found.append((path, list(_results(path, whole.split(b"\n")[:-1]))))
    return found


def _results(path: Path, lines: list[bytes]) -> Iterator[IndexResult]:
    for number, line in enumerate(lines, start=1):
        try:
            yield IndexResult.from_json(line.strip(b"\0").decode())
        except ValueError as exc:
            logger.warning("%s, line %d is no index result; that index is processed again (%s)", path, number, exc)


def _age(path: Path) -> tuple[int, int, str]:
    """What journals are sorted by: their numbers; those that were begun at once, by their last write."""
    try:
        return _number(path), path.stat().st_mtime_ns, path.name
    except FileNotFoundError:
        return _number(path), 0, path.name


def _number(path: Path) -> int:
    """A journal's number, 0 for one of an older version."""
    parts = path.stem.split("-")
    return int(parts[1]) if len(parts) == _N_PARTS and parts[1].isdecimal() else 0
