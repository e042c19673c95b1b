"""Files read whole, if they are files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from curator_core.errors import ConfigError


def read_regular(path: Path) -> tuple[bytes, os.stat_result]:
    """Content and status of a file.

    Raises
    ------
    FileNotFoundError
        There is none.
    ConfigError
        It is a folder, or a pipe that would be waited for without end, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise ConfigError(f"{path} is no regular file, so it is not read. Move it away.")
        with os.fdopen(descriptor, "rb") as file:
            return file.read(), found
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ConfigError(f"Cannot read {path}: {exc}.") from exc
