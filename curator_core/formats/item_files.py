"""Files of items in a folder: each named by a template, after the key of its item."""

from __future__ import annotations

import os
from pathlib import Path
from string import Formatter
from typing import Any

from curator_core.errors import ComponentError, ConfigError
from curator_core.pipeline.components import Source
from curator_core.storage.places import check_folder, local_place

_FIELDS = ("key", "stem", "part")


class ItemFiles:
    """Names of the files of items; no two items have the same, and none leads out of the folder.

    Parameters
    ----------
    folder
        Where the files are.
    template
        Name of a file: ``{key}`` is the key of its item, ``{stem}`` the key without the suffix of its file, ``{part}``
        what comes after ``#`` in the key.
    component
        Who writes them, for messages.

    Raises
    ------
    ConfigError
        The template is none.
    """

    def __init__(self, folder: str, template: str, component: str) -> None:
        self._folder = Path(folder)
        self._template = template
        self._component = component
        self._source: Source[Any] | None = None
        self._owners: dict[str, int] | None = None
        _require_fields(template, component)

    def check(self) -> None:
        """Raise `ConfigError` when the folder is no local one that can be written to."""
        place = local_place(self._folder, f"{self._component}: the folder")
        check_folder(place, f"{self._component}: {str(self._folder)!r}")

    def set_source(self, source: Source[Any]) -> None:
        """Take the source of the items, whose keys name the files."""
        self._source, self._owners = source, None

    def path(self, index: int) -> Path:
        """Path of the file of an item.

        Raises
        ------
        ComponentError
            Another item has that name, too, or it is no file's in the folder.
        """
        source = self._source
        key = f"{index:06d}" if source is None else source.key(index)
        name = self._name(key)
        owner = self._owner(name, index)
        if owner is not None:
            raise ComponentError(f"The template {self._template!r} names two items {name!r}: {key!r} and {owner!r}.")
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or not parts[-1].strip(".") or "\0" in name:
            raise ComponentError(f"{name!r}, the name of {key!r}, is that of no file in {str(self._folder)!r}.")
        path = self._folder / name
        root, place = os.path.realpath(self._folder), os.path.realpath(path.parent)
        if os.path.commonpath((root, place)) != root:
            raise ComponentError(f"{name!r}, the name of {key!r}, leads out of {str(self._folder)!r}, by a link.")
        return path

    def _name(self, key: str) -> str:
        file, _, part = key.partition("#")
        stem = os.path.splitext(file)[0] + ("#" + part if part else "")  # noqa: PTH122 - of a key
        return self._template.format(key=key, stem=stem, part=part)

    def _owner(self, name: str, index: int) -> str | None:
        """Key of another item that has a name, too."""
        source = self._source
        if source is None:
            return None
        if self._owners is None:
            self._owners = {}
            self._twice: dict[str, tuple[int, int]] = {}
            for other in range(len(source)):
                first = self._owners.setdefault(self._name(source.key(other)), other)
                if first != other:
                    self._twice.setdefault(self._name(source.key(other)), (first, other))
        pair = self._twice.get(name)
        return None if pair is None else source.key(pair[0] if index != pair[0] else pair[1])


def _require_fields(template: str, component: str) -> None:
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as exc:
        raise ConfigError(f"{component}: the template {template!r}: {exc}.") from None
    if not fields or any(field not in _FIELDS for field in fields):
        raise ConfigError(
            f"{component}: the template {template!r} needs one of {{key}}, {{stem}} or {{part}}, and no other."
        )
