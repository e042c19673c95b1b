"""Open rows of a table, shared between processes: each row is claimed by one of them.

A claim is a file with the numbers of its rows, on which its process holds a lock. The operating system takes the
lock away when the process ends, however it ends, so a claim lives exactly as long as its claimant: there are no
times to choose, no clocks to compare, and a kill leaves the rows open again. The table is not written. On a
network file system this rests on its locks (NFS 4, or NFS 3 with its lock service; Lustre mounted with ``flock``).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import uuid
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from curator_core.errors import ConfigError
from curator_core.experiments.reading import read_regular
from curator_core.experiments.sample import JobStatus
from curator_core.experiments.stored.files import Version, current_version, data_folder, locked, read_jobs
from curator_core.experiments.stored.foreign_lock import refuse_foreign_workers
from curator_core.experiments.stored.results import result_path, result_rows
from curator_core.storage.disk import make_folder, writing
from curator_core.storage.locks import is_locked

_CLAIMS = ".curator-claims"


@dataclass(frozen=True)
class Claimant:
    """Who works on a row."""

    host: str
    pid: int
    job: str | None
    """SLURM's number of the job, where there is one."""

    since: str
    """ISO 8601, UTC."""


@contextlib.contextmanager
def claim_open(
    project_dir: str | Path, n: int = 1, *, among: Container[int] | None = None
) -> Iterator[tuple[int, ...]]:
    """Hold up to `n` open rows, which no other process gets meanwhile.

    A row is open while the table says so, nobody holds it and no result of it was written. When the block ends, or
    the process dies, rows without a result are open again.

    Parameters
    ----------
    project_dir
        Folder of the table.
    n
        How many at most.
    among
        These rows alone; all by default.

    Yields
    ------
    tuple[int, ...]
        Row numbers, lowest first; empty if no row is open now.

    Raises
    ------
    ConfigError
        `n` is below 1, or there is no table.
    WorkflowError
        Workers of f3dasm use the table.

    Examples
    --------
    >>> with claim_open("study", n=10) as rows:  # doctest: +SKIP
    ...     for row in rows:
    ...         write_result("study", row, {"y": simulate(row)})
    """
    if n < 1:
        raise ConfigError(f"n must be 1 or more, not {n!r}.")
    with contextlib.ExitStack() as held:
        with locked(project_dir) as folder:
            refuse_foreign_workers(folder)
            rows = _free_rows(folder, n, among)
            if rows:
                held.enter_context(_held(folder / _CLAIMS, rows))
        yield rows


def open_rows(project_dir: str | Path) -> list[int]:
    """The rows that could be claimed now; nothing is written.

    Raises
    ------
    WorkflowError
        Workers of f3dasm use the table.
    """
    refuse_foreign_workers(data_folder(project_dir))
    held = claimed_rows(project_dir).keys() | result_rows(project_dir)
    return [row for row, status in read_jobs(project_dir).items() if status is JobStatus.OPEN and row not in held]


def claimed_rows(project_dir: str | Path) -> dict[int, Claimant]:
    """Who works on which row now; nothing is written."""
    folder = data_folder(project_dir) / _CLAIMS
    found: dict[int, Claimant] = {}
    for name in _listed(folder):
        claim = _Claim.read(folder / name)
        if claim.rows and is_locked(folder / name):
            found |= dict.fromkeys(claim.rows, claim.claimant)
    return found


@dataclass(frozen=True)
class _Claim:
    rows: tuple[int, ...]
    claimant: Claimant

    @classmethod
    def of_this_process(cls, rows: tuple[int, ...]) -> _Claim:
        job = os.environ.get("SLURM_JOB_ID")
        return cls(rows, Claimant(socket.gethostname(), os.getpid(), job, datetime.now(UTC).isoformat()))

    @classmethod
    def read(cls, path: Path) -> _Claim:
        """Read a claim; one without rows if it was never finished or is gone.

        Fields that a newer version may have added say nothing about rows, and are left alone.

        Raises
        ------
        ConfigError
            The file is no claim.
        """
        try:
            content = json.loads(read_regular(path)[0])
        except FileNotFoundError:
            return cls((), Claimant("", 0, None, ""))
        except (RecursionError, ValueError) as exc:
            if is_locked(path):
                raise ConfigError(f"{path} is no claim of rows: {exc}. End the process that holds it.") from exc
            return cls((), Claimant("", 0, None, ""))  # of a process that was killed while it wrote it
        if not (isinstance(content, dict) and _are_rows(content.get("rows"))):
            raise ConfigError(
                f"{path} is no claim of rows, or one of another version of curator: {str(content)[:80]!r}. "
                "Delete the file if no process works on these experiments."
            )
        pid = content.get("pid")
        texts = {name: str(content.get(name) or "") for name in ("host", "job", "since")}
        claimant = Claimant(texts["host"], pid if isinstance(pid, int) else 0, texts["job"] or None, texts["since"])
        return cls(tuple(content["rows"]), claimant)

    def write(self, path: Path) -> None:
        # Closed before it is locked: a network file system shows others what is in a file once it is closed.
        text = json.dumps({"rows": self.rows, **vars(self.claimant)})
        with writing(path):
            try:
                path.write_text(text, encoding="utf-8")
            except BaseException:
                path.unlink(missing_ok=True)
                raise


def _are_rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)


@contextlib.contextmanager
def _held(folder: Path, rows: tuple[int, ...]) -> Iterator[None]:
    make_folder(folder)
    path = folder / uuid.uuid4().hex
    _Claim.of_this_process(rows).write(path)
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # nobody else knows the file yet
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@dataclass
class _Candidates:
    """What this process knows of a table: its open rows without those that were seen to have a result."""

    version: Version
    rows: dict[int, None]
    claims: dict[str, frozenset[int]] = field(default_factory=dict)


_known: dict[Path, _Candidates] = {}
"""Candidates by folder; touched under the folder's lock alone."""


def _free_rows(folder: Path, n: int, among: Container[int] | None) -> tuple[int, ...]:
    candidates = _candidates(folder)
    free = _untaken(folder, candidates, n, among)
    if len(free) < n and _remove_dead(folder / _CLAIMS):
        free = _untaken(folder, candidates, n, among)
    return free


def _candidates(folder: Path) -> _Candidates:
    version = current_version(folder)
    known = _known.get(folder)
    if known is None or known.version != version:
        done = result_rows(folder.parent)
        jobs = read_jobs(folder.parent)
        rows = sorted(row for row, status in jobs.items() if status is JobStatus.OPEN and row not in done)
        known = _known[folder] = _Candidates(version, dict.fromkeys(rows))
    return known


def _untaken(folder: Path, candidates: _Candidates, n: int, among: Container[int] | None) -> tuple[int, ...]:
    claims = folder / _CLAIMS
    names = _listed(claims)
    candidates.claims = {
        name: candidates.claims.get(name) or frozenset(_Claim.read(claims / name).rows) for name in names
    }
    taken = frozenset().union(*candidates.claims.values())
    free, done = [], []
    for row in candidates.rows:
        if row in taken or (among is not None and row not in among):
            continue
        if result_path(folder.parent, row).exists():
            done.append(row)
            continue
        free.append(row)
        if len(free) == n:
            break
    for row in done:
        del candidates.rows[row]
    return tuple(free)


def _remove_dead(claims: Path) -> bool:
    dead = [claims / name for name in _listed(claims) if not is_locked(claims / name)]
    for path in dead:
        path.unlink(missing_ok=True)
    return bool(dead)


def _listed(claims: Path) -> list[str]:
    try:
        return [path.name for path in claims.iterdir() if path.is_file()]
    except FileNotFoundError:
        return []
