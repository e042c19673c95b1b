"""Checks on the place where a component writes, made before any item is processed."""

from __future__ import annotations

from curator_core.errors import ConfigError
from curator_core.storage.locations import location_of

_FILES = (".parquet", ".json", ".csv", ".nc")
"""Suffixes of outputs that are one file."""
_OTHERWISE = {".zarr": (".icechunk",)}
"""Suffixes of places that hold the same in another way, which any of their readers opens."""


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
        No such place is known, its suffix is another, or it cannot be written to.
    """
    named = f"{component}: output {output_path!r}"
    output = location_of(output_path, f"{component}: output")
    if output.work_path.suffix not in (suffix, *_OTHERWISE.get(suffix, ())):
        raise ConfigError(f"{named} must end in {suffix!r}.")
    output.check(f"{component}: output")
    if suffix in _FILES and output.exists() and "" not in output.objects():
        raise ConfigError(f"{named} is a folder: remove it, or choose another name.")
