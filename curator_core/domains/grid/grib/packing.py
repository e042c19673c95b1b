"""Values of small GRIB 2 fields in simple packing: a handle of ecCodes costs more time than they do.

References
----------
WMO Manual on Codes, FM 92 GRIB edition 2: data representation template 5.0, regulation 92.9.4 (negative numbers).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.grib.messages import Field, sections_of

_MOST_BITS = 32
_SMALL = 1 << 16  # values; of large fields, ecCodes is the faster one


def packing_of(field: Field) -> bytes | None:
    """Whether, and as which kind, a field can be decoded here: simple packing without a bitmap.

    Constant fields are ecCodes': it takes their reference value as it is, whatever the decimal scale.
    """
    if field.content[7] != 2:  # noqa: PLR2004 - edition
        return None
    sections = dict(sections_of(field.content, field.offset, field.number))
    packing = sections[5]
    is_simple = packing[9:11] == b"\0\0" and 0 < packing[19] <= _MOST_BITS and sections.get(6, b"")[5:6] == b"\xff"
    is_small = int.from_bytes(packing[5:9], "big") <= _SMALL
    return field.grid + packing[5:9] + packing[19:21] if is_simple and is_small else None


def simple_values(field: Field) -> npt.NDArray[Any]:
    """Values of a field with a `packing_of`, as ecCodes gives them."""
    sections = dict(sections_of(field.content, field.offset, field.number))
    n_values, _, reference, binary, decimal, bits = struct.unpack(">IHfHHB", sections[5][5:20])
    found = np.unpackbits(np.frombuffer(sections[7], np.uint8, offset=5), count=n_values * bits)
    packed = found.reshape(n_values, bits) @ 2.0 ** np.arange(bits - 1, -1, -1)
    return np.asarray((packed * 2.0 ** _signed(binary) + reference) * 10.0 ** -_signed(decimal))


def _signed(number: int) -> int:
    return -(number & 0x7FFF) if number & 0x8000 else number
