"""Files that components read beside the items: whether each is what it was when the configuration was recorded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from curator_core.errors import ComponentError, ConfigError

_Stamp = tuple[tuple[str, int, int, int], ...]


class PinnedFile:
    """A local file, or a folder of files such as a Zarr store, whose content is part of a configuration.

    Parameters
    ----------
    path
        Where it is.
    what
        What needs it, for messages: ``mask: file``.

    Raises
    ------
    ConfigError
        The path is a URL.
    """

    def __init__(self, path: str, what: str) -> None:
        if "://" in path:
            raise ConfigError(f"{what}: {path!r} is no local path: copy it here first.")
        self.path = Path(path)
        self._what = what
        self._seen: tuple[_Stamp, str] | None = None
        self._recorded: str | None = None

    def identity(self) -> str:
        """SHA-256 of the content now, which `confirmed` compares with from here on, also in other processes.

        Raises
        ------
        ConfigError
            It cannot be read.
        """
        try:
            self._recorded = self._content()
        except OSError as exc:
            raise ConfigError(f"{self._what}: {str(self.path)!r} cannot be read: {exc.strerror or exc}.") from exc
        return self._recorded

    def confirmed(self) -> str:
        """SHA-256 of the content now.

        Raises
        ------
        ComponentError
            It cannot be read, or is another one than when the run began.
        """
        try:
            found = self._content()
        except OSError as exc:
            why = f"cannot be read: {exc.strerror or exc}"
            raise ComponentError(f"{self._what}: {str(self.path)!r} {why}.", file=str(self.path)) from exc
        if self._recorded not in (None, found):
            raise ComponentError(
                f"{self._what}: {str(self.path)!r} changed since the run began: run again, and all items are "
                "processed with what it is now.",
                file=str(self.path),
            )
        return found

    def _content(self) -> str:
        stamp = tuple(self._stamps())
        if self._seen is None or self._seen[0] != stamp:
            digest = hashlib.sha256()
            for name, size, _, _ in stamp:
                digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape") if name else b"")
                with (self.path / name).open("rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
            self._seen = stamp, digest.hexdigest()
        return self._seen[1]

    def _stamps(self) -> Iterator[tuple[str, int, int, int]]:
        """Name, size, time and inode of every file; the name of a file that is not in a folder is empty."""
        names = [""]
        if self.path.is_dir():
            names = sorted(
                os.path.relpath(os.path.join(folder, name), self.path)  # noqa: PTH118 - many of them
                for folder, _, files in os.walk(self.path, followlinks=True)
                for name in files
            )
        for name in names:
            found = (self.path / name).stat()
            yield name, found.st_size, found.st_mtime_ns, found.st_ino
