"""Tables that were read for their types, until they are read as items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

_LIMIT: Final = 256 << 20
"""Bytes that are held, at most."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A table as it was read."""

    table: pa.Table
    """All of its columns."""
    said: Sequence[tuple[str | None, str]] = ()
    """What is to be logged: of which column, if of one, and the sentence."""


class HeldTables:
    """Tables by key and fingerprint of their files, as far as memory is meant for them; each is given once.

    They stay in their process: a copy that is pickled for another is empty, and then so is this one, since items are
    read there.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Reading] = {}
        self._n_bytes = 0
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[HeldTables], tuple[()]]:
        """Leave the tables out, and let go of them."""
        with self._lock:
            self._found.clear()
            self._n_bytes = 0
        return HeldTables, ()

    def add(self, key: str, fingerprint: str, reading: Reading) -> None:
        """Hold a table, unless they would be too large together."""
        with self._lock:
            if self._n_bytes + reading.table.nbytes <= _LIMIT:
                self._found[key, fingerprint] = reading
                self._n_bytes += reading.table.nbytes

    def take(self, key: str, fingerprint: str) -> Reading | None:
        """The table of a file, which is not held any more."""
        with self._lock:
            reading = self._found.pop((key, fingerprint), None)
            if reading is not None:
                self._n_bytes -= reading.table.nbytes
            return reading
