"""Metadata of Zarr v2 with a byte order for types of single bytes, which NetCDF-C writes and Zarr does not take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zarr.storage import WrapperStore

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

_METADATA = (".zarray", ".zmetadata")
_ORDERED = re.compile(rb'("dtype"\s*:\s*")[<>](?=(?:[iub]1|S\d+)")')


class PlainByteTypes(WrapperStore[Any]):
    """A store whose metadata gives single bytes no byte order: ``|u1`` for ``<u1``."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Content of a key."""
        found: Buffer | None = await self._store.get(key, prototype, byte_range)
        if found is None or byte_range is not None or not key.endswith(_METADATA):
            return found
        return prototype.buffer.from_bytes(_ORDERED.sub(rb"\1|", found.to_bytes()))
