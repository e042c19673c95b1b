"""Where a pipeline's metrics database lives."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path


def cache_directory(db_dir: str | os.PathLike[str] | None = None) -> Path:
    """`db_dir`, else ``$CURATOR_CACHE_DIR``, else ``$XDG_CACHE_HOME/curator``, else ``~/.cache/curator``."""
    if db_dir is not None:
        return Path(db_dir)
    if explicit := os.environ.get("CURATOR_CACHE_DIR"):
        return Path(explicit)
    if cache := os.environ.get("XDG_CACHE_HOME"):
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
        return Path(db_file)
    folder = cache_directory(db_dir)
    if resume:
        return folder / f"{config_hash[:16]}.db"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return folder / f"{config_hash[:16]}_{stamp}.db"
