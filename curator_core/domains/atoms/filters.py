"""Filter that gathers statistics of atomic structures on their way through."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.data import chemical_symbols

from curator_core.domains.atoms.structures import StructureError, current_results
from curator_core.errors import ComponentError, MergeError, MissingDependencyError
from curator_core.filters.statistics.field_statistics import FieldStatistics
from curator_core.filters.statistics.moments import Floats, Moments
from curator_core.filters.statistics.split import OfOneSplit
from curator_core.pipeline.annotations import UNRECORDED
from curator_core.pipeline.components import ShardedFilter
from curator_core.storage.outputs import check_output_path

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as exc:
    raise MissingDependencyError.of("pyarrow", "atoms", "Writing Parquet files") from exc

_FORMAT = "curator-atomic-stats-1"
_BUFFERED_NUMBERS = 1_000_000
_RESERVED = frozenset({*all_properties, "n_atoms", "volume", "energy_per_atom"})

_COLUMNS = pa.schema(
    [
        ("field", pa.string()),
        ("element", pa.string()),
        ("count", pa.int64()),
        ("nonfinite", pa.int64()),
        ("mean", pa.float64()),
        ("variance", pa.float64()),
        ("std", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("structures", pa.int64()),
    ]
)


class AtomicStatsFilter(OfOneSplit, ShardedFilter[Atoms]):
    """Statistics of every numeric field, and counts of every element; structures pass unchanged.

    The table has one row per field: the calculator results, ``energy_per_atom``, ``positions``, other
    numeric per-atom arrays, ``n_atoms``, ``volume`` (of periodic cells) and ``info.<key>`` for numeric
    key-value pairs; components of vectors are pooled. One more row per element, with ``field`` equal to
    ``"element"``, counts its atoms. Units are ASE's (Å, eV). ``variance`` and ``std`` are of the
    population (``ddof=0``), ``count`` is of finite numbers, ``nonfinite`` of the others, which enter
    nothing else; ``structures`` counts the structures that have the field or element.

    Sums are exact: the file is the same whatever the order and the number of workers.

    Parameters
    ----------
    output
        Parquet file of the table, ending in ``.parquet``.
    split
        Count the items of this split only, by the pipeline's rule where it has one, else `split_of`; all by default.
        What is kept of an item is the same for every split, so this is no part of the configuration.
    """

    name: ClassVar[str] = "atomic_stats"
    description: ClassVar[str] = "Statistics of every numeric field, and element counts, as a Parquet table"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".json"

    def __init__(self, output: str, split: Annotated[str | None, UNRECORDED] = None) -> None:
        self._output = str(output)
        self._split = split
        self._state = _State()

    @property
    def output_path(self) -> str:
        return self._output

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written."""
        check_output_path(self._output, ".parquet", self.name)

    def __call__(self, items: Generator[Atoms, None, None]) -> Generator[Atoms, None, None]:
        """Pass structures on and take in their numbers.

        Raises
        ------
        ComponentError
            A structure has results of another geometry.
        """
        self._state = _State()  # here, not in the generator, which may never be started
        return self._observe(items, self._state)

    def _observe(self, items: Iterator[Atoms], state: _State) -> Generator[Atoms, None, None]:
        for position, atoms in enumerate(items):
            try:
                state.add(atoms)
            except (ValueError, TypeError, OverflowError) as exc:  # a StructureError, or values that are no numbers
                raise ComponentError(f"{self.name}: structure {position}: {exc}", component=self.name) from exc
            yield atoms

    def write_shard(self, path: str) -> None:
        """Write the state of the last index, the same bytes for the same structures."""
        Path(path).write_text(self._state.to_json(), encoding="utf-8")

    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        """Join the states of all indices into the table.

        Raises
        ------
        MergeError
            A shard is missing or damaged.
        """
        merged = _State()
        for path in shard_paths:
            try:
                merged.merge(_State.from_json(Path(path).read_text(encoding="utf-8")))
            except (OSError, ValueError, LookupError, TypeError) as exc:
                raise MergeError(f"{self.name}: shard {path} cannot be used ({exc}); process its item again.") from exc
        Path(output_path).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(merged.rows(), schema=_COLUMNS), output_path)

    @property
    def is_of_all_items(self) -> bool:
        """Whether the numbers of all items are counted, rather than those of one split."""
        return self._split is None

    def statistics(self, output_path: str) -> list[FieldStatistics]:
        """Every field of the table; element counts are none."""
        names = ["field", "count", "nonfinite", "mean", "std", "min", "max"]
        rows = parquet.read_table(output_path, columns=[*names, "element"]).to_pylist()
        return [FieldStatistics(*map(row.get, names)) for row in rows if row["element"] is None]

    def item_statistics(self, shard: bytes) -> list[FieldStatistics]:
        """Every field of one item."""
        fields = json.loads(shard)["fields"]
        return [FieldStatistics.of(name, Moments.from_state(state)) for name, state in fields.items()]


class _State:
    """What is known of some structures."""

    def __init__(self) -> None:
        self._fields: dict[str, Moments] = {}
        self._elements: dict[str, list[int]] = {}  # atoms, structures
        self._buffer: dict[str, list[Floats]] = {}
        self._n_buffered = 0

    def add(self, atoms: Atoms) -> None:
        """Take in a structure; its arrays are copied, for it may be changed further on."""
        for name, values in _numbers(atoms):
            copied = np.array(values, np.float64).ravel()
            self._buffer.setdefault(name, []).append(copied)
            self._n_buffered += len(copied)
        numbers = atoms.numbers
        if len(numbers) and numbers.max() >= len(chemical_symbols):  # before as many counts are asked for
            raise StructureError(f"atomic number {numbers.max()} is of no element")
        for number, count in enumerate(np.bincount(numbers).tolist()):
            if count:
                self._count(chemical_symbols[number], count, 1)
        if self._n_buffered > _BUFFERED_NUMBERS:
            self._flush()

    def merge(self, other: _State) -> None:
        """Take in what another state knows."""
        other._flush()
        for name, moments in other._fields.items():
            self._fields.setdefault(name, Moments()).merge(moments)
        for symbol, (n_atoms, n_structures) in other._elements.items():
            self._count(symbol, n_atoms, n_structures)

    def rows(self) -> list[dict[str, str | int | float | None]]:
        """Rows of the table, sorted."""
        self._flush()
        rows = [_row(name, moments) for name, moments in self._fields.items()]
        rows += [
            {"field": "element", "element": symbol, "count": n_atoms, "nonfinite": 0, "structures": n_structures}
            for symbol, (n_atoms, n_structures) in self._elements.items()
        ]
        return sorted(rows, key=lambda row: (str(row["field"]), str(row["element"] or "")))

    def to_json(self) -> str:
        """Text that `from_json` restores exactly."""
        self._flush()
        fields = {name: moments.to_state() for name, moments in sorted(self._fields.items())}
        return json.dumps({"format": _FORMAT, "fields": fields, "elements": dict(sorted(self._elements.items()))})

    @classmethod
    def from_json(cls, text: str) -> _State:
        """Restore what `to_json` gave."""
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError(f"its format is {data['format']!r}")
        state = cls()
        state._fields = {name: Moments.from_state(moments) for name, moments in data["fields"].items()}
        state._elements = data["elements"]
        return state

    def _count(self, symbol: str, n_atoms: int, n_structures: int) -> None:
        counts = self._elements.setdefault(symbol, [0, 0])
        counts[0] += n_atoms
        counts[1] += n_structures

    def _flush(self) -> None:
        for name, values in self._buffer.items():
            moments = self._fields.setdefault(name, Moments())
            moments.samples += len(values)
            moments.add(np.concatenate(values))
        self._buffer = {}
        self._n_buffered = 0


def _numbers(atoms: Atoms) -> Iterator[tuple[str, object]]:
    """Field names and numbers of a structure."""
    results = current_results(atoms)
    yield from ((name, value) for name, value in results.items() if _is_numeric(value))
    if "energy" in results and len(atoms):
        yield "energy_per_atom", results["energy"] / len(atoms)  # type: ignore[operator]  # a float
    for name, array in atoms.arrays.items():
        if name != "numbers" and _is_numeric(array):
            yield f"arrays.{name}" if name in _RESERVED else name, array
    yield "n_atoms", len(atoms)
    if atoms.pbc.any() and atoms.cell.volume:
        yield "volume", atoms.cell.volume
    pairs = atoms.info.get("key_value_pairs")
    if isinstance(pairs, dict):
        yield from ((f"info.{key}", value) for key, value in pairs.items() if _is_numeric(value))


def _is_numeric(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iuf"
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _row(name: str, moments: Moments) -> dict[str, str | int | float | None]:
    return {
        "field": name,
        "element": None,
        "count": moments.count,
        "nonfinite": moments.nonfinite,
        **moments.row(),
        "structures": moments.samples,
    }
