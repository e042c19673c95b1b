"""What sinks and filters return, checked: what is wrong fails its item alone, by the component's name."""

from __future__ import annotations

import os

from curator_core.engine.failure import shown
from curator_core.errors import ComponentError
from curator_core.records import Item


def checked_paths(paths: object, sink: str, item: Item) -> list[str]:
    """The paths that a sink returned, as texts.

    Raises
    ------
    ComponentError
        They are something else.
    """
    if not isinstance(paths, list | tuple):
        raise ComponentError(
            f"{sink} returned {shown(paths)}; a sink must return the list of paths it wrote.",
            component=sink,
            key=item.key,
        )
    for path in paths:
        if type(path) is not str or not path.isascii():
            break
    else:
        return list(paths)
    return [checked_path(path, f"{sink} returned", component=sink, key=item.key) for path in paths]


def checked_path(given: object, who_said: str, *, component: str, key: str | None = None) -> str:
    """A path as text.

    Raises
    ------
    ComponentError
        It is something else, or UTF-8 cannot hold it.
    """
    path = given if type(given) is str else _as_text(given)
    if path is None:
        raise ComponentError(
            f"{who_said} {shown(given)} among its paths; each must be a text or a pathlib.Path.",
            component=component,
            key=key,
        )
    if not path.isascii() and path != path.encode(errors="replace").decode():
        raise ComponentError(f"{who_said} {shown(path)}, which is no UTF-8.", component=component, key=key)
    return path


def _as_text(path: object) -> str | None:
    if not isinstance(path, str | os.PathLike):
        return None
    text: object = os.fspath(path)
    return str(text) if isinstance(text, str) else None


def is_relative(path: str) -> bool:
    """Whether a path depends on the working directory."""
    return "://" not in path and not os.path.isabs(path)  # noqa: PTH117 - a text
