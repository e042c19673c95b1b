"""Statistics of structures, against NumPy and against themselves under any split."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curator_core.domains.atoms import ASELMDBSource, AtomicStatsFilter
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.filters.statistics.field_statistics import HasStatistics
from curator_core.filters.statistics.moments import Moments


def _moments(values):
    moments = Moments()
    moments.add(np.asarray(values, np.float64))
    return moments


def _merge(folder, groups, name="stats.parquet"):
    """Run the filter over groups of structures, one index each; the table's path."""
    step = AtomicStatsFilter(str(folder / name))
    shards = []
    for index, group in enumerate(groups):
        list(step(iter(group)))
        shards.append(str(folder / f"{name}-{index}.json"))
        step.write_shard(shards[-1])
    step.merge(shards, step.output_path)
    return folder / name


def _rows(path):
    return {(row["field"], row["element"]): row for row in pq.read_table(path).to_pylist()}


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(hnp.arrays(np.float64, st.integers(1, 50), elements=FINITE))
def test_sums_are_exact(values):
    """Mean and variance are those of exact arithmetic, rounded once, for any floats at all."""
    moments = _moments(values)
    numbers = [Fraction(value) for value in values.tolist()]
    mean = sum(numbers) / len(numbers)
    variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
    assert moments.mean == float(mean)
    assert moments.variance == (float(variance) if variance < 2**1024 - 2**970 else math.inf)
    assert (moments.minimum, moments.maximum) == (values.min(), values.max())


@given(st.lists(st.lists(st.floats(), max_size=20), max_size=6), st.randoms(use_true_random=False))
def test_any_split_and_order_gives_the_same_state(groups, random):
    """Merging parts, in any order, gives the state of all numbers at once."""
    together = _moments([value for group in groups for value in group])
    random.shuffle(groups)
    merged = Moments()
    for group in groups:
        merged.merge(Moments.from_state(_moments(group).to_state()))
    assert merged == together


@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (-1e5, 1e-3), (3e-300, 1e-301)])
def test_mean_and_variance_equal_numpys(offset, spread):
    """Offsets that dwarf the spread cost no digits: 1e-12 of NumPy's two passes over all numbers."""
    values = np.random.default_rng(0).normal(offset, spread, 200_000)
    moments = Moments()
    for part in np.array_split(values, 7):
        moments.merge(_moments(part))
    assert moments.mean == pytest.approx(np.mean(values), rel=1e-12, abs=0)
    if spread**2 > 0:
        assert moments.variance == pytest.approx(np.var(values), rel=1e-12, abs=0)


def test_g2_equals_numpy(g2_folder, tmp_path, read_with_ase):
    """Every field of the whole set agrees with NumPy over all its numbers."""
    source = ASELMDBSource(str(g2_folder))
    rows = _rows(_merge(tmp_path, [source[index] for index in range(len(source))]))
    structures = [atoms for path in sorted(g2_folder.iterdir()) for atoms in read_with_ase(path)]
    everything = {
        "energy": [atoms.get_potential_energy() for atoms in structures],
        "energy_per_atom": [atoms.get_potential_energy() / len(atoms) for atoms in structures],
        "forces": [atoms.get_forces() for atoms in structures],
        "positions": [atoms.positions for atoms in structures],
        "n_atoms": [len(atoms) for atoms in structures],
        "initial_magmoms": [a.arrays["initial_magmoms"] for a in structures if "initial_magmoms" in a.arrays],
        "info.variant": [atoms.info["key_value_pairs"]["variant"] for atoms in structures],
    }
    for name, parts in everything.items():
        values = np.concatenate([np.ravel(part) for part in parts]).astype(float)
        row = rows[name, None]
        assert (row["count"], row["nonfinite"], row["structures"]) == (len(values), 0, len(parts))
        assert (row["min"], row["max"]) == (values.min(), values.max())
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-12, abs=1e-12 * np.abs(values).mean())
        assert row["variance"] == pytest.approx(values.var(), rel=1e-12)
        assert row["std"] == pytest.approx(values.std(), rel=1e-12)
    symbols = [atoms.get_chemical_symbols() for atoms in structures]
    for element in {symbol for found in symbols for symbol in found}:
        row = rows["element", element]
        assert row["count"] == sum(found.count(element) for found in symbols)
        assert row["structures"] == sum(element in found for found in symbols)
        assert row["mean"] is None
    assert list(rows) == sorted(rows, key=lambda key: (key[0], key[1] or ""))


def _solid(size):
    atoms = bulk("Cu", cubic=True) * (size, 1, 1)
    atoms.rattle(0.1, seed=size)
    atoms.calc = SinglePointCalculator(atoms, energy=-1e5 + size / 1e3, stress=np.arange(6.0) * size)
    atoms.info["key_value_pairs"] = {"step": size, "name": "x", "converged": True, "gap": 0.5}
    return atoms


def test_fields_of_a_periodic_structure(tmp_path):
    """Volume, stress and numeric key-value pairs are fields; text and truth values are none."""
    rows = _rows(_merge(tmp_path, [[_solid(1), _solid(3)]]))
    assert {field for field, element in rows if element is None} == {
        *("energy", "energy_per_atom", "info.gap", "info.step", "n_atoms", "positions", "stress", "volume")
    }
    assert rows["volume", None]["mean"] == pytest.approx(2 * 3.61**3)
    assert rows["stress", None]["count"] == 12
    assert rows["element", "Cu"]["count"] == 16


def test_same_bytes_whatever_the_split(tmp_path):
    """One index, one per structure, or anything between: the file is the same, bit for bit."""
    structures = [_solid(size) for size in range(1, 8)]
    expected = _merge(tmp_path, [structures]).read_bytes()
    for cut in range(1, 7):
        assert _merge(tmp_path, [structures[:cut], structures[cut:]]).read_bytes() == expected
    assert _merge(tmp_path, [[atoms] for atoms in structures]).read_bytes() == expected


def test_flushing_changes_nothing(tmp_path, monkeypatch):
    """However few numbers are buffered, the result is the same."""
    structures = [_solid(size) for size in range(1, 8)]
    expected = _merge(tmp_path, [structures]).read_bytes()
    monkeypatch.setattr("curator_core.domains.atoms.filters._BUFFERED_NUMBERS", 10)
    assert _merge(tmp_path, [structures]).read_bytes() == expected


def test_nonfinite_numbers_are_counted_apart(tmp_path):
    """NaN and infinity enter neither moments nor extremes."""
    atoms = Atoms("H3", [[np.nan, 0, 1], [np.inf, 2, 3], [-np.inf, 4, 5]])
    atoms.calc = SinglePointCalculator(atoms, energy=np.nan)
    rows = _rows(_merge(tmp_path, [[atoms]]))
    positions, energy = rows["positions", None], rows["energy", None]
    assert (positions["count"], positions["nonfinite"], positions["mean"], positions["max"]) == (6, 3, 2.5, 5)
    assert (energy["count"], energy["nonfinite"], energy["mean"], energy["min"]) == (0, 1, None, None)


def test_structures_pass_unchanged(tmp_path):
    """The very objects come out, one by one, as they are asked for."""
    structures = [_solid(1), _solid(2)]
    step = AtomicStatsFilter(str(tmp_path / "s.parquet"))
    seen = []
    stream = step(seen.append(atoms) or atoms for atoms in structures)
    assert next(stream) is structures[0]
    assert len(seen) == 1
    assert next(stream) is structures[1]


def test_later_changes_in_place_do_not_count(tmp_path):
    """A step behind this one may move atoms."""
    expected = _merge(tmp_path, [[_solid(2)]]).read_bytes()
    step = AtomicStatsFilter(str(tmp_path / "s.parquet"))
    for atoms in step(iter([_solid(2)])):
        atoms.positions += 1
        atoms.calc.results["stress"] *= 2
    step.write_shard(str(tmp_path / "shard"))
    step.merge([str(tmp_path / "shard")], str(tmp_path / "s.parquet"))
    assert (tmp_path / "s.parquet").read_bytes() == expected


def test_each_index_starts_afresh(tmp_path):
    """Nothing of an index that failed, or gave nothing, is left when the next one starts."""
    step = AtomicStatsFilter(str(tmp_path / "s.parquet"))
    next(step(iter([_solid(1), _solid(2)])))
    step(iter([_solid(3)]))  # never asked for a structure
    step.write_shard(str(tmp_path / "shard"))
    step.merge([str(tmp_path / "shard")], str(tmp_path / "s.parquet"))
    assert _rows(tmp_path / "s.parquet") == {}


def test_results_of_another_geometry_are_refused(tmp_path):
    """A structure that was moved after its energy was calculated fails its item."""
    atoms = _solid(1)
    atoms.positions += 0.1
    with pytest.raises(ComponentError, match="structure 0: the structure was changed after"):
        list(AtomicStatsFilter(str(tmp_path / "s.parquet"))(iter([atoms])))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": "other"}', None])
def test_bad_shard(tmp_path, content):
    """A damaged or missing shard is named."""
    shard = tmp_path / "shard.json"
    if content is not None:
        shard.write_text(content)
    with pytest.raises(MergeError, match=r"shard\.json cannot be used"):
        AtomicStatsFilter(str(tmp_path / "s.parquet")).merge([str(shard)], str(tmp_path / "s.parquet"))
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize(("name", "message"), [("x.csv", "must end in '.parquet'"), ("file/x.parquet", "is no folder")])
def test_check_refuses(tmp_path, name, message):
    """An output that cannot be written is refused before anything runs, and nothing is created."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=message):
        AtomicStatsFilter(str(tmp_path / name)).check()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_check_creates_nothing(tmp_path):
    """Missing folders are created when the table is written, not before."""
    step = AtomicStatsFilter(str(tmp_path / "a" / "b" / "x.parquet"))
    step.check()
    assert list(tmp_path.iterdir()) == []
    step.merge([], step.output_path)
    assert pq.read_table(step.output_path).num_rows == 0


def test_shards_are_deterministic(tmp_path):
    """The same structures give the same shard."""
    step = AtomicStatsFilter(str(tmp_path / "s.parquet"))
    texts = set()
    for attempt in itertools.repeat([_solid(1), _solid(2)], 2):
        list(step(iter(attempt)))
        step.write_shard(str(tmp_path / "shard"))
        texts.add((tmp_path / "shard").read_text())
    assert len(texts) == 1


def test_what_the_filter_tells_is_what_its_files_hold(tmp_path):
    """Fields of the table without the elements, and of one item from its shard."""
    bad = molecule("H2")
    bad.positions[0, 0] = np.nan
    _merge(tmp_path, [[molecule("H2O")], [bad]])
    step = AtomicStatsFilter(str(tmp_path / "stats.parquet"))
    assert isinstance(step, HasStatistics)
    found = {field.name: field for field in step.statistics(step.output_path)}
    assert "element" not in found
    assert (found["positions"].count, found["positions"].n_nonfinite) == (14, 1)
    list(step(iter([bad])))
    step.write_shard(str(tmp_path / "shard.json"))
    item = {field.name: field for field in step.item_statistics((tmp_path / "shard.json").read_bytes())}
    assert (item["positions"].count, item["positions"].n_nonfinite) == (5, 1)
    assert item["n_atoms"].mean == item["n_atoms"].maximum == 2
