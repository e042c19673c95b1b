"""The file in which a dataset carries its Croissant record: its name, and whether it is what was written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from curator_core.errors import ObjectStoreError
from curator_core.storage.base import OutputLocation

RECORD: Final = "croissant.json"
"""Name of the file in a Zarr group."""
TABLE_RECORD: Final = "_croissant.json"
"""Name in a folder of Parquet files, whose readers pass over what begins with an underscore."""
RECORD_NAMES: Final = (RECORD, TABLE_RECORD)
_FORM: Final = "1.0.0"
"""Of what is said in a record; raised when that changes."""
_DIGEST: Final = "sdVersion"
_OURS: Final = re.compile(r"[0-9.]+\+[0-9a-f]{32}")
"""What `_DIGEST` says in a record of curator."""


def encoded_record(content: Mapping[str, Any]) -> bytes:
    """The file; ``sdVersion`` is the hash of the rest, so that a change is seen.

    What is no Unicode, such as a part of a file's name, is a question mark.
    """
    plain = json.loads(json.dumps(dict(content), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
    text = json.dumps({**plain, _DIGEST: _version_of(plain)}, indent=1, ensure_ascii=False)
    return f"{text}\n".encode()


def written_record(location: OutputLocation) -> tuple[str, bytes] | None:
    """Name and content of the file in a dataset; ``None`` where there is none."""
    for name in RECORD_NAMES:
        try:
            return name, location.read(name)
        except ObjectStoreError:  # no answer of the store
            raise
        except OSError:
            continue
    return None


def is_ours(data: bytes) -> bool:
    """Whether curator wrote the file, or can have: not where a sink of one's own writes a record of its own."""
    try:
        return _OURS.fullmatch(str(dict(json.loads(data)).get(_DIGEST))) is not None
    except (ValueError, TypeError, RecursionError):  # damaged
        return True


def record_fault(data: bytes) -> str:
    """What is wrong with the content of the file; empty where it is what was written."""
    try:
        content = dict(json.loads(data))
        given = content.pop(_DIGEST)
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        return f"cannot be read: {exc}"
    return "" if given == _version_of(content) else "is not what was written: somebody changed it"


def _version_of(content: Mapping[str, Any]) -> str:
    own = {name: value for name, value in content.items() if name != _DIGEST}
    digest = hashlib.blake2b(json.dumps(own, sort_keys=True).encode(), digest_size=16).hexdigest()
    return f"{_FORM}+{digest}"
