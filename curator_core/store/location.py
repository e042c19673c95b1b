"""Where a pipeline's metrics database lives, and on what kind of file system."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from curator_core.storage.atomic import publish_text
from curator_core.storage.places import cache_directory, local_place, own_cache
from curator_core.store.journal import journal_directory

MOUNT_TABLE = "/proc/self/mountinfo"
"""Linux's table of mounted file systems, see proc_pid_mountinfo(5)."""

_LATEST = ".latest"
"""Suffix of the note which of a configuration's databases was last written."""

NETWORK_FILE_SYSTEMS = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ncpfs", "davfs", "sshfs"),
        *("lustre", "gpfs", "beegfs", "beegfs_nodev", "ceph", "glusterfs", "panfs", "pvfs2", "orangefs", "wekafs"),
        *("juicefs", "s3fs", "gcsfuse", "rclone", "goofys", "cvmfs2"),
    )
)
"""Types of file systems that several hosts share; those in user space are listed without their ``fuse.``."""


def database_file(db_file: str | os.PathLike[str]) -> Path:
    """The database that a user named, ``~`` expanded.

    Raises
    ------
    ConfigError
        It is no local path.
    """
    return local_place(db_file, "The metrics database", expand=True)


def make_own_folder(path: Path) -> bool:
    """Make the folder of a database that nobody else reads, if it is the user's own cache folder; whether it is.

    A folder that the user named, or made, is as open as the user has it.
    """
    folder = path.parent
    if folder != own_cache():
        return False
    with suppress(OSError):  # told by whoever writes there next
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    return True


def make_own_file(path: Path) -> None:
    """Make an empty database that nobody else reads; what SQLite puts beside it is like it.

    One that is there is not opened: closing it would give up the locks that SQLite has on it in this process.
    """
    with suppress(OSError):  # told by SQLite
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def database_path(
    config_hash: str,
    *,
    db_file: str | os.PathLike[str] | None,
    db_dir: str | os.PathLike[str] | None,
    resume: bool,
) -> Path:
    """Path of the database: `db_file`, else named by hash in the cache folder, with a time unless resuming."""
    if db_file is not None:
        return database_file(db_file)
    folder = cache_directory(db_dir)
    if resume:
        return folder / f"{config_hash[:16]}.db"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return folder / f"{config_hash[:16]}_{stamp}.db"


def latest_database(
    config_hash: str, *, db_file: str | os.PathLike[str] | None, db_dir: str | os.PathLike[str] | None
) -> Path | None:
    """The database that was last written for a configuration, ``None`` before its first run."""
    if db_file is not None:
        candidates = [database_file(db_file)]
    else:
        folder, stem = cache_directory(db_dir), config_hash[:16]
        noted = _noted(folder / f"{stem}{_LATEST}")
        candidates = [noted] if noted is not None else [folder / f"{stem}.db", *folder.glob(f"{stem}_*.db")]
    return max((path for path in candidates if path.is_file()), key=_last_write_ns, default=None)


def note_latest(path: Path, config_hash: str) -> None:
    """Write down that a database is the last one written, if it is one of several of its configuration.

    The order of writing decides, not a clock, which may be set back.
    """
    stem = config_hash[:16]
    note = path.with_name(f"{stem}{_LATEST}")
    if re.fullmatch(rf"{stem}(_\d{{8}}T\d+)?\.db", path.name) and _noted(note) != path:
        try:
            publish_text(path.name, note)
        except OSError:  # a full disk: times of the files decide
            note.unlink(missing_ok=True)


def forget_latest(path: Path) -> None:
    """Remove the note of a database that is removed."""
    note = path.with_name(f"{path.stem.partition('_')[0]}{_LATEST}")
    if _noted(note) in (None, path):
        note.unlink(missing_ok=True)


def _noted(note: Path) -> Path | None:
    """The database that a note names, if it is there."""
    try:
        found = note.with_name(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or one that is damaged: times of the files decide
        return None
    return found if found.is_file() else None


def _last_write_ns(path: Path) -> int:
    """When something was last recorded: a running coordinator writes to the log beside the database."""
    beside = (path, path.with_name(f"{path.name}-wal"), journal_directory(path))
    return max(part.stat().st_mtime_ns for part in beside if part.exists())


def network_file_system(
    path: str | os.PathLike[str], *, mount_table: str | os.PathLike[str] = MOUNT_TABLE
) -> str | None:
    """Type of the network file system that `path` is on; ``None`` for a local one, or where that is unknown.

    Parameters
    ----------
    path
        A file, which need not exist yet, or a folder.
    mount_table
        Table of mounted file systems; one that is not there (not on Linux) says nothing.
    """
    place = Path(path).resolve()
    try:
        lines = os.fsdecode(Path(mount_table).read_bytes()).splitlines()
    except OSError:
        return None
    nearest, found = -1, ""
    for line in lines:
        mount, _, source = line.partition(" - ")
        point = Path(_unescaped(mount.split(" ")[4]))
        # Of two file systems mounted at the same point, the later one is seen.
        if place.is_relative_to(point) and len(point.parts) >= nearest:
            nearest, found = len(point.parts), source.split(" ")[0]
    return found if found.removeprefix("fuse.") in NETWORK_FILE_SYSTEMS else None


def _unescaped(field: str) -> str:
    """A path as the kernel escaped it: blanks, line ends and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
