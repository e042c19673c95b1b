"""Checks on the place where a component writes, made before any item is processed."""

from __future__ import annotations

import os
from pathlib import Path

from curator_core.errors import ConfigError


def check_output_path(output_path: str, suffix: str, component: str) -> None:
    """Refuse an output that could not be written; nothing is created.

    Parameters
    ----------
    output_path
        Where the merged output will stand.
    suffix
        Suffix it must have, with its dot.
    component
        Name for the message.

    Raises
    ------
    ConfigError
        The suffix is another, or the nearest existing parent is no folder that can be written to.
    """
    output = Path(output_path)
    if output.suffix != suffix:
        raise ConfigError(f"{component}: output {output_path!r} must end in {suffix!r}.")
    parent = next(p for p in output.absolute().parents if os.path.lexists(p))
    if not parent.is_dir():
        raise ConfigError(f"{component}: output {output_path!r} cannot be created: {str(parent)!r} is no folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{component}: output {output_path!r} cannot be created: {str(parent)!r} is not writable.")
