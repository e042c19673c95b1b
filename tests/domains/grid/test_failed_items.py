"""An item that is in the dataset, changed and failed: what is gathered beside the dataset is of the values it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from curator_core import open_dataset, run_pipeline
from curator_core.domains.grid import GridZarrSink, NetCDFSource
from curator_core.filters.statistics import StatisticsFilter
from tests.domains.grid.gridded_files import Steps, write

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("datasketches")


def published(folder, caplog):
    """Mean of the table of statistics, of the dataset, and whether the log calls the table incomplete."""
    sink = GridZarrSink(str(folder / "d.zarr"), {"time": {"start": "2020-01-01", "frequency": "6h"}})
    steps = NetCDFSource(str(folder / "in")).filter(StatisticsFilter(str(folder / "s.parquet")))
    pipeline = steps.write(sink).with_settings(db_file=folder / "run.db", resume=True)
    caplog.clear()
    run_pipeline(pipeline, gather=True, on_error="skip", progress=False)
    (row,) = pq.read_table(folder / "s.parquet").to_pylist()
    assert not pipeline.outputs_to_gather()
    is_incomplete = any("s.parquet is put together from" in message for message in caplog.messages)
    return row["mean"], float(np.nanmean(open_dataset(str(folder / "d.zarr"))["t"])), is_incomplete


def test_statistics_are_of_what_the_dataset_keeps(tmp_path, caplog):
    """Also when others change meanwhile; an item that never was there is missing in both, and a removed one goes."""
    (tmp_path / "in").mkdir()
    given = {name: Steps((2 * n, 2 * n + 1), ("t",), seed=n, is_plain=True) for n, name in enumerate("abc")}
    broken = Steps((0,), ("t",), is_broken=True)
    written = [
        ({"a": given["a"], "b": given["b"]}, False),
        ({"b": broken}, False),
        ({"a": given["a"].corrected(7), "c": broken}, True),
        ({"c": given["c"]}, False),
        ({"b": given["b"].corrected(8)}, False),
    ]
    means = []
    for files, is_short in written:
        for name, steps in files.items():
            write(tmp_path / "in" / f"{name}.nc", steps)
        mean, expected, is_incomplete = published(tmp_path, caplog)
        assert mean == pytest.approx(expected, rel=1e-6)
        assert is_incomplete == is_short
        means.append(mean)
    assert means[0] == means[1]
    assert len(set(means)) == 4
    write(tmp_path / "in" / "b.nc", broken)
    published(tmp_path, caplog)
    (tmp_path / "in" / "b.nc").unlink()
    mean, expected, _ = published(tmp_path, caplog)
    assert mean == pytest.approx(expected, rel=1e-6)
    assert mean != means[-1]
