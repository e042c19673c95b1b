"""Where a pipeline's metrics database lives, and on what kind of file system."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from curator_core.places import local_place
from curator_core.store.journal import journal_directory

MOUNT_TABLE = "/proc/self/mountinfo"
"""Linux's table of mounted file systems, see proc_pid_mountinfo(5)."""

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


def cache_directory(db_dir: str | os.PathLike[str] | None = None) -> Path:
    """`db_dir`, else ``$CURATOR_CACHE_DIR``, else ``$XDG_CACHE_HOME/curator``, else ``~/.cache/curator``."""
    if db_dir is not None:
        return local_place(db_dir, "db_dir", expand=True)
    if explicit := os.environ.get("CURATOR_CACHE_DIR"):
        return local_place(explicit, "CURATOR_CACHE_DIR", expand=True)
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if cache and Path(cache).is_absolute():  # its specification has relative ones ignored
        return Path(cache) / "curator"
    return Path.home() / ".cache" / "curator"


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
        candidates = [folder / f"{stem}.db", *folder.glob(f"{stem}_*.db")]
    return max((path for path in candidates if path.is_file()), key=_last_write_ns, default=None)


def _last_write_ns(path: Path) -> int:
    """When something was last recorded: a running coordinator writes to the log beside the database."""
    beside = (path, path.with_name(f"{path.name}-wal"), journal_directory(path))
    return max(part.stat().st_mtime_ns for part in beside if part.exists())


def network_file_system(
    path: str | os.PathLike[str], *, mount_table: str | os.PathLike[str] = MOUNT_TABLE
) -> str | None:
    """Type of the network file system that `path` is on; ``None`` for a local one, or where that cannot be told.

    Parameters
    ----------
    path
        A file, which need not exist yet, or a folder.
    mount_table
        Table of mounted file systems; one that is not there (not on Linux) tells nothing.
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
