"""Statistics of every variable level by level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curator_core import run_pipeline
from curator_core.errors import ComponentError, MergeError
from curator_core.filters.statistics import StatisticsFilter
from curator_core.filters.statistics.levels import place_of
from curator_core.pipeline.config import component_config
from tests.filters.grids import Grids, grid
from tests.filters.test_statistics import Nowhere, table

pytest.importorskip("datasketches")
xr = pytest.importorskip("xarray")


def test_every_level_has_a_row(tmp_path):
    """Exact, as NumPy has it over all items; variables without levels have one row."""
    first, second = grid(), grid(2)
    second["t"][0, 1, 0] = np.nan
    rows = table([[first], [second]], tmp_path, by=["level"])
    assert list(rows) == ["rain", "t[level=500]", "t[level=850]"]
    for position, level in enumerate(("850", "500")):
        row = rows[f"t[level={level}]"]
        numbers = np.concatenate([d["t"].values[:, position].ravel() for d in (first, second)]).astype(np.float64)
        assert row["mean"] == pytest.approx(np.nanmean(numbers), rel=1e-15)
        assert row["count"] == np.isfinite(numbers).sum()
        assert (row["variable"], row["level"]) == ("t", level)
    assert rows["t[level=500]"]["n_nonfinite"] == 1
    assert (rows["rain"]["variable"], rows["rain"]["level"]) == ("rain", None)


def test_levels_are_matched_by_value(tmp_path):
    """Not by position, type or order; one that is a coordinate without dimensions is a level, too."""
    turned = grid().isel(level=[1, 0]).assign_coords(level=np.array([500.0, 850.0], np.float32))
    single = grid().isel(level=0)
    rows = table([[grid()], [turned], [single]], tmp_path, fields=["t"], by=["level"])
    assert {name: row["n_samples"] for name, row in rows.items()} == {"t[level=500]": 2, "t[level=850]": 3}
    assert rows["t[level=500]"]["mean"] == pytest.approx(grid()["t"].values[:, 1].mean())


def test_several_dimensions_and_none(tmp_path):
    """In the order in which they are named; positions stand for what has no coordinate."""
    assert list(table([[grid()]], tmp_path, fields=["t"], by=["x", "level"])) == [
        "t[x=0,level=500]",
        "t[x=0,level=850]",
        "t[x=1,level=500]",
        "t[x=1,level=850]",
    ]
    waves = xr.Dataset({"z": (("level", "k"), np.ones((2, 3), np.complex64))})
    assert list(table([[waves]], tmp_path, by=["level"])) == [
        "z[level=0].imag",
        "z[level=0].real",
        "z[level=1].imag",
        "z[level=1].real",
    ]
    assert place_of("z[level=0].imag") == ("z.imag", {"level": "0"})
    assert place_of("value") == ("value", {})


def test_what_is_not_there(tmp_path):
    """A dimension that no item has is no table without it, and a wanted variable has a row without numbers."""
    with pytest.raises(MergeError, match="no item has the dimension 'layer' that by= names"):
        table([[grid()]], tmp_path, by=["layer"])
    rows = table([[grid()]], tmp_path, fields=["t", "sst"], by=["level"])
    assert rows["sst"]["count"] == 0
    with pytest.raises(ComponentError, match="a str has no fields"):
        table([["text"]], tmp_path, by=["level"])


def test_what_was_kept_of_items_is_kept(tmp_path, monkeypatch):
    """Without levels the configuration is what it was; with them, only new items are read."""
    assert "by" not in component_config(StatisticsFilter("a.parquet"))["params"]
    assert component_config(StatisticsFilter("a.parquet", by=["level"]))["params"]["by"]
    monkeypatch.chdir(tmp_path)
    step = StatisticsFilter("out/statistics.parquet", by=["level"])
    pipeline = Grids("lengths").filter(step).write(Nowhere()).with_settings(resume=True)
    for lengths, n_kept in (("3 2", 0), ("3 2 4", 2)):
        Path("lengths").write_text(lengths)
        assert pipeline.plan().counts().get("up to date", 0) == n_kept
        run_pipeline(pipeline, progress=False, gather=True)
    fields = {field.name: field.count for field in step.statistics(step.output_path)}
    assert fields == {"rain": 18, "t[level=500]": 18, "t[level=850]": 18}
