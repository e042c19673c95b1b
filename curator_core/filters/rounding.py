"""Filter that rounds mantissas, so that what is no information compresses well.

References
----------
M. Klöwer et al., Compressing atmospheric data into its real information content, Nature Computational Science 1, 713
(2021): rounding to the nearest, ties to even. CF conventions 1.12, section 8.4 (lossy compression via quantization).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Final

import numpy as np

from curator_core.errors import ConfigError
from curator_core.filters.values.fields import Array, Attributes, FieldError, Fields
from curator_core.filters.values.kinds import DatasetFields
from curator_core.filters.values.stepwise import FieldFilter, Missing

_EVERY: Final = "*"
_INFO: Final = "quantization_info"
_MOST: Final = 52


class RoundingFilter(FieldFilter):
    """Rounds floating-point fields to some bits of their mantissa, to the nearest, ties to even (BitRound).

    A number changes by no more than half a unit of its last bit that stays: by ``2**-(bits + 1)`` of itself. Datasets
    say so, as CF 1.12 has it: the attributes ``quantization_nsb`` and ``quantization_maximum_relative_error`` of a
    field, and the variable ``quantization_info`` that ``quantization`` names. NaN and infinite numbers stay.

    Parameters
    ----------
    keep_bits
        Bits of the mantissa that stay, of 23 of float32 and 52 of float64, the leading one not counted: of all
        floating-point fields, or by field, with ``*`` for all others of them.
    missing
        ``fail``: an item without one of the named fields fails. ``ignore``: it does not.

    Raises
    ------
    ConfigError
        A number of bits is none of 1 to 52.
    """

    name: ClassVar[str] = "rounding"
    description: ClassVar[str] = "Floating-point fields rounded to some bits of their mantissa"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, keep_bits: int | Mapping[str, int], *, missing: Missing = "fail") -> None:
        self._bits = dict(keep_bits) if isinstance(keep_bits, Mapping) else {_EVERY: keep_bits}
        if not self._bits or not all(1 <= bits <= _MOST for bits in self._bits.values()):
            raise ConfigError(f"{self.name}: keep_bits must be numbers from 1 to {_MOST}, got {keep_bits!r}.")
        self.missing = missing

    def wanted(self) -> Collection[str]:
        return [name for name in self._bits if name != _EVERY]

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        values: dict[str, Array] = {}
        attributes: dict[str, Attributes] = {}
        data = set(fields.names())
        for name in fields.known():
            given = fields.values(name)
            is_float = given.dtype.kind == "f"
            bits = self._bits.get(name, self._bits.get(_EVERY) if is_float and name in data else None)
            if bits is None:
                continue
            if not is_float:
                raise FieldError(f"field {name!r} is of type {given.dtype}, which has no mantissa to round")
            if bits >= np.finfo(given.dtype).nmant:
                continue
            values[name] = rounded(name, given, bits)
            attributes[name] = {
                **{key: text for key, text in fields.attributes(name).items() if key != "actual_range"},
                "quantization": _INFO,
                "quantization_nsb": np.int32(bits),
                "quantization_maximum_relative_error": 2.0 ** -(bits + 1),
            }
        if not values:
            return fields
        if not isinstance(fields, DatasetFields):
            return fields.replaced(values)
        return _informed(fields.replaced(values, attributes))


def rounded(name: str, values: Array, bits: int) -> Array:
    """Numbers with so many bits of their mantissa, the nearest ones.

    Raises
    ------
    FieldError
        The nearest of a number is infinite.
    """
    info = np.finfo(values.dtype)
    whole = values.astype(values.dtype.newbyteorder("="), order="C", copy=True)
    numbers = whole.view(f"u{whole.dtype.itemsize}")
    one = numbers.dtype.type(1)
    n_gone = numbers.dtype.type(info.nmant - bits)
    is_finite = np.isfinite(whole)
    half = (one << (n_gone - one)) - one
    nearest = (numbers + (half + ((numbers >> n_gone) & one))) & ~((one << n_gone) - one)
    made = np.where(is_finite, nearest, numbers).view(whole.dtype)
    if (np.isinf(made) & is_finite).any():
        raise FieldError(f"field {name!r} has numbers so large that they would become infinite with {bits} bits")
    return np.asarray(made)


def _informed(dataset: Any) -> Any:  # noqa: ANN401 - xarray's
    about = {"algorithm": "bitround", "implementation": "curator version 1 (to the nearest, ties to even)"}
    return dataset.assign_coords({_INFO: ((), np.int32(0), about)})
