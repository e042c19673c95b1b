"""Checks on the place where a component writes, made before any item is processed."""

from __future__ import annotations

from curator_core.errors import ConfigError
from curator_core.storage.places import check_folder, local_place

_FILES = (".parquet", ".json", ".csv")
"""Suffixes of outputs that are one file."""


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
        It is no local path, its suffix is another, or its folder is none that can be written to.
    """
    named = f"{component}: output {output_path!r}"
    output = local_place(output_path, f"{component}: output")
    if output.suffix != suffix:
        raise ConfigError(f"{named} must end in {suffix!r}.")
    check_folder(output.parent, named)
    if output.is_dir() and suffix in _FILES:
        raise ConfigError(f"{named} is a folder: remove it, or choose another name.")
