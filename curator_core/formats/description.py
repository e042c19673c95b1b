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


def _digest(attributes: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(attributes, sort_keys=True).encode(), digest_size=16).hexdigest()
