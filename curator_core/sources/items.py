"""Items of a source of files: whole files, or parts of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from curator_core.storage.input_files import text_key


@dataclass(frozen=True, slots=True)
class FileItem:
    """One item: a file, or a part of one."""

    path: Path
    """The file; of a remote one, a local copy, which is there while it is read or split."""
    key: str
    """Its path relative to the root; after ``#`` the name of the part."""
    fingerprint: str | None
    """Content identity of the file when it was listed; ``None`` for a dangling link."""
    start: int = 0
    """Position of the first row, step or block."""
    stop: int | None = None
    """Position after the last one; ``None`` for the end of the file."""
    url: str | None = None
    """Where a remote file is."""

    def part(self, name: str, start: int, stop: int | None) -> FileItem:
        """A part of the file, as an item of its own."""
        return replace(self, key=f"{self.key}#{name}", start=start, stop=stop)

    @property
    def place(self) -> str:
        """Path or URL of the file, for people."""
        return self.url or str(self.path)


class WholeFiles(Sequence[FileItem]):
    """Files of which each is one item, made when it is asked for: a hundred thousand are listed in a moment.

    Parameters
    ----------
    root
        Folder or URL that they are below.
    names
        Their names, relative to it.
    fingerprints
        Their content identities.
    address
        Gives the URL of a name, where they are remote.
    """

    def __init__(
        self,
        root: str,
        names: list[str],
        fingerprints: list[str | None],
        address: Callable[[str], str] | None = None,
    ) -> None:
        self._root, self._names, self._address = root, names, address
        self._top = os.path.join(root, "")  # noqa: PTH118 - for every file
        self.keys = list(map(text_key, names))
        self.fingerprints = fingerprints

    def __len__(self) -> int:
        return len(self.keys)

    def path(self, position: int) -> str:
        """Path or URL of a file."""
        name = self._names[position]
        return self._top + name if self._address is None else self._address(name)

    @overload
    def __getitem__(self, position: int) -> FileItem: ...
    @overload
    def __getitem__(self, position: slice) -> list[FileItem]: ...
    def __getitem__(self, position: int | slice) -> FileItem | list[FileItem]:
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(len(self)))]
        place = self.path(position)
        url = None if self._address is None else place
        return FileItem(Path(place), self.keys[position], self.fingerprints[position], url=url)
