"""Which kind of place a path or URL names."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from typing import TypeVar

from curator_core.errors import ConfigError, DuplicateNameError
from curator_core.storage.base import OutputLocation
from curator_core.storage.local import LocalLocation
from curator_core.storage.objects.mirror import versioned_location
from curator_core.storage.objects.single import ObjectLocation
from curator_core.storage.objects.stores import SCHEMES, ObjectUrl
from curator_core.storage.places import local_place, url_scheme

GROUP = "curator.locations"
"""Entry-point group of other packages, named by scheme."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+")

_kinds: dict[str, type[OutputLocation]] = {}

L = TypeVar("L", bound=type[OutputLocation])


def register_location(cls: L) -> L:
    """Make a kind of place known by its scheme, in this process; usable as a class decorator.

    A package that declares it in the entry-point group ``curator.locations`` makes it known in every process.

    Raises
    ------
    ConfigError
        It has no scheme.
    DuplicateNameError
        Another one has that scheme.
    """
    if not _SCHEME.fullmatch(cls.scheme) or cls.scheme == "file":
        raise ConfigError(f"{cls.__qualname__}: {cls.scheme!r} is no scheme of URLs, such as 's3'.")
    if _kinds.setdefault(cls.scheme, cls) is not cls:
        raise DuplicateNameError(f"Places of the scheme {cls.scheme!r} are {_kinds[cls.scheme].__qualname__} already.")
    return cls


def location_of(path: str | os.PathLike[str], what: str = "the output") -> OutputLocation:
    """The place that a path or URL names.

    Parameters
    ----------
    path
        The path, or a URL of a scheme that is registered.
    what
        What is published there, for messages.

    Raises
    ------
    ConfigError
        It is a URL of another scheme, or nothing that could name a place.
    """
    text = os.fspath(path)
    scheme = url_scheme(text, also=_kinds)
    kind = _kind(scheme) if scheme else None
    if kind is None and scheme not in SCHEMES:
        local_place(text, what)
        return versioned_location(text) or LocalLocation(text)
    scheme = scheme if kind is None else kind.scheme
    if "://" not in text:
        raise ConfigError(f"{what} {text!r} has lost a slash, as a URL does in a Path: give it as a text.")
    if not text.startswith(f"{scheme}://"):
        raise ConfigError(f"{what} {text!r}: write the scheme in small letters, {scheme}://.")
    if not text.removeprefix(f"{scheme}://").strip("/"):
        raise ConfigError(f"{what} {text!r} names no file or folder: add its name.")
    return _object_location(text, what) if kind is None else kind(text)


def _object_location(url: str, what: str) -> OutputLocation:
    ObjectUrl.parse(url, what)
    return versioned_location(url) or ObjectLocation(url)


def _kind(scheme: str) -> type[OutputLocation] | None:
    if scheme not in _kinds and scheme not in SCHEMES:
        for entry in entry_points(group=GROUP, name=scheme):
            register_location(entry.load())
    return _kinds.get(scheme)
