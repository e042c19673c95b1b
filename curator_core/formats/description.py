"""What a dataset says of itself, and one that is no Zarr group in a JSON file, which readers of its files pass over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.storage.base import OutputLocation

OWN_FOLDER: Final = "_curator"
"""Folder of what is no data."""
DESCRIPTION: Final = f"{OWN_FOLDER}/dataset.json"
"""Name of the file."""
OPENS_AS: Final = "opens_as"
"""Attribute with the format of which a dataset is, for those who do not know its own."""
YEARS_FORMAT: Final = "curator-netcdf-years"
"""Format of a folder of NetCDF files by year, which has such a file, too."""
_CHECKSUM = "checksum"


def encoded_description(attributes: Mapping[str, Any]) -> bytes:
    """The file, given what it says; its checksum comes with it."""
    return json.dumps({**attributes, _CHECKSUM: _digest(attributes)}, indent=1, ensure_ascii=False).encode()


def described_folder(location: OutputLocation) -> dict[str, Any] | None:
    """What a dataset says of itself; ``None`` where it has no such file.

    Raises
    ------
    ComponentError
        The file is damaged.
    """
    try:
        content = location.read(DESCRIPTION)
    except ObjectStoreError:
        raise
    except OSError:
        return None
    try:
        found = json.loads(content)
        checksum = found.pop(_CHECKSUM)
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        text = f"The dataset {location.path} is damaged: {DESCRIPTION} cannot be read: {exc}."
        raise ComponentError(text, file=location.path) from exc
    if checksum != _digest(found):
        text = f"The dataset {location.path} is damaged: {DESCRIPTION} is not what was written."
        raise ComponentError(text, file=location.path)
    return dict(found)


def described_as(location: OutputLocation, wanted: str, what: str, *readable: int) -> dict[str, Any]:
    """What a dataset of some format says of itself.

    Parameters
    ----------
    location
        The dataset.
    wanted
        Its format.
    what
        The format in words, such as ``dataset of tables``.
    readable
        Format versions that are read.

    Raises
    ------
    ComponentError
        It is none, damaged, or of another version.
    """
    attributes = described_folder(location)
    if attributes is None or attributes.get("format") != wanted:
        raise ComponentError(f"{location.path} is no {what}.", file=location.path)
    require_version(location.path, attributes.get("format_version"), *readable)
    return attributes


def require_version(path: str, found: object, *readable: int) -> int:
    """The format version of a dataset, which is one that this version of curator reads.

    Raises
    ------
    ComponentError
        It is another one.
    """
    if type(found) is int and found in readable:
        return found
    said = f"{path} has format version {found!r}, this version of curator reads {' and '.join(map(str, readable))}"
    if type(found) is not int:
        raise ComponentError(f"{said}: the dataset is damaged, or is none of curator.", file=path)
    if found > max(readable):
        raise ComponentError(f"{said}: a newer one published the dataset. Upgrade curator.", file=path)
    raise ComponentError(
        f"{said}: a former one published the dataset. Run its pipeline and gather, which publishes version "
        f"{max(readable)}.",
        file=path,
    )


def _digest(attributes: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(attributes, sort_keys=True).encode(), digest_size=16).hexdigest()
