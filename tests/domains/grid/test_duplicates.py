"""Two items with one step: which of them gives it, and what becomes of the other."""

from __future__ import annotations

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core import open_dataset, run_pipeline  # noqa: E402 - needs xarray
from curator_core.datasets.aligned.verifying import AlignedFiles  # noqa: E402 - as above
from curator_core.domains.grid.dataset import GridDataset  # noqa: E402 - as above
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.errors import ConfigError, MergeError  # noqa: E402 - as above
from curator_core.storage.locations import location_of  # noqa: E402 - as above
from tests.domains.grid.blocks import Bench, BlocksSource, block, tree, write_block  # noqa: E402 - as above


@pytest.fixture
def bench(tmp_path):
    """Function that makes a bench with a rule for duplicates."""
    axes = {"time": {"start": "2020-01-01", "frequency": "6h"}}

    def make(duplicate):
        return Bench(GridZarrSink(str(tmp_path / "d.zarr"), axes, chunks={"time": 2}, duplicate=duplicate), tmp_path)

    return make


def givers(path, *blocks):
    """For every step of a dataset, which of some blocks has its values."""
    found = GridDataset.open(path)["t"].values
    known = {}
    for name, (first, dataset) in zip("abcdef", blocks, strict=False):
        known |= {(first + n, values[1, 1].item()): name for n, values in enumerate(dataset["t"].values)}
    return "".join(known.get((step, values[1, 1].item()), ".") for step, values in enumerate(found))


def test_the_preferred_one_gives_it_while_it_is_there(bench):
    """Provisional data of steps 0 to 5, replaced by final ones of 2 and 3; these are taken away again."""
    made = bench("prefer=final*")
    blocks = (0, block(0, 6)), (2, block(2, 2, seed=1))
    early, final = (made.part(dataset) for _, dataset in blocks)
    first = made.publish("a.zarr", {"early": early})
    both = made.publish("b.zarr", {"early": None, "final": final}, first)
    assert givers(both, *blocks) == "aabbaa"
    assert tree(both) == tree(made.publish("scratch.zarr", {"early": early, "final": final}))
    assert list(AlignedFiles(location_of(both), "curator-grid").damages()) == []
    again = made.publish("c.zarr", {"early": None}, both)
    assert givers(again, *blocks) == "aaaaaa"
    assert tree(again) == tree(first)
    assert "hidden" in {p.name for p in both.iterdir()} - {p.name for p in again.iterdir()}


def test_the_one_that_is_not_preferred_may_come_late(bench):
    """It gives the steps that the other has not."""
    made = bench("prefer=final*")
    blocks = (0, block(0, 6)), (2, block(2, 2, seed=1))
    path = made.publish("a.zarr", {"final": made.part(blocks[1][1])})
    path = made.publish("b.zarr", {"early": made.part(blocks[0][1]), "final": None}, path)
    assert givers(path, *blocks) == "aabbaa"


def test_two_that_are_preferred_are_named(bench):
    """And two that are not, where neither gives way; a third that is preferred settles it."""
    made = bench("prefer=final*")
    parts = [made.part(block(0, 3, seed=n)) for n in range(3)]
    for keys in (("final1", "final2"), ("x", "y")):
        with pytest.raises(MergeError, match=f"'{keys[0]}' and '{keys[1]}' both give"):
            made.publish("a.zarr", dict(zip(keys, parts, strict=False)))
    path = made.publish("b.zarr", dict(zip(("x", "final", "y"), parts, strict=True)))
    assert givers(path, *((0, block(0, 3, seed=n)) for n in range(3))) == "bbb"


def test_variables_by_themselves(bench):
    """The later item has one of two variables."""
    made = bench("last")
    parts = {"a": made.part(block(0, 2)), "b": made.part(block(1, 2, seed=1, names=["t"]))}
    found = GridDataset.open(made.publish("a.zarr", parts))
    np.testing.assert_array_equal(found["t"].values[1], block(1, 2, seed=1, names=["t"])["t"].values[0])
    assert found["n"].values[1] == block(0, 2)["n"].values[1]


def test_damage_of_what_is_kept_is_named(bench):
    """By the publication that needs it."""
    made = bench("last")
    path = made.publish("a.zarr", {"a": made.part(block(0, 2)), "b": made.part(block(1, 2))})
    (path / "hidden/0/c/0").write_bytes(b"")
    with pytest.raises(MergeError, match="hidden/0 cannot be read"):
        made.publish("b.zarr", {"a": None}, path)


@pytest.mark.parametrize("rule", ["first", "prefer=", "prefer", ""])
def test_rules_that_are_none(tmp_path, rule):
    """Said when the sink is made."""
    with pytest.raises(ConfigError, match="duplicate must be"):
        GridZarrSink(str(tmp_path / "d.zarr"), duplicate=rule)


def test_in_a_repository(tmp_path):
    """What is kept of the item that gave way comes back from there."""
    pytest.importorskip("icechunk")

    def published():
        sink = GridZarrSink(str(tmp_path / "d.icechunk"), duplicate="last")
        pipeline = BlocksSource(str(tmp_path / "in")).write(sink)
        settings = pipeline.with_settings(db_file=tmp_path / "run.db", resume=True)
        run_pipeline(settings, gather=True, progress=False)
        return open_dataset(tmp_path / "d.icechunk")["t"].values

    first, second = block(0, 3)["t"].values, block(2, 3)["t"].values
    write_block(tmp_path / "in", 0, 3)
    write_block(tmp_path / "in", 2, 3)
    np.testing.assert_array_equal(published(), np.concatenate([first[:2], second]))
    (tmp_path / "in/000002.nc").unlink()
    np.testing.assert_array_equal(published(), first)
