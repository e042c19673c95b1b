"""The shipped contracts, on the shipped components and backends."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import ClassVar

import pytest

from curator_core.testing import (
    BackendContract,
    DatasetSink,
    FaultySource,
    FileSource,
    FilterContract,
    JsonSink,
    NumbersSource,
    SinkContract,
    SourceContract,
    StatisticsFilter,
    registered,
)
from curator_core.testing.dummies import AddFilter

SIMPLE_BACKEND = str(Path(__file__).with_name("simple_backend.py"))


class TestNumbersSource(SourceContract):
    def make_source(self, tmp_path):
        return NumbersSource(3)


class TestFileSource(SourceContract):
    def make_source(self, tmp_path):
        for name in ("a", "b"):
            if not (tmp_path / f"{name}.txt").exists():
                (tmp_path / f"{name}.txt").write_text("1 2 3")
        return FileSource(str(tmp_path))


class TestFaultySource(SourceContract):
    def make_source(self, tmp_path):
        return FaultySource(NumbersSource(3), str(tmp_path / "log"), {"000009": ["fail"]})


class _IntegerItems:
    def make_items(self, index):
        return [index, index + 1, index + 2]


class TestAddFilter(_IntegerItems, FilterContract):
    def make_filter(self, tmp_path):
        return AddFilter(2)


class TestStatisticsFilter(_IntegerItems, FilterContract):
    def make_filter(self, tmp_path):
        return StatisticsFilter(str(tmp_path / "stats.json"))


class TestJsonSink(_IntegerItems, SinkContract):
    def make_sink(self, tmp_path):
        return JsonSink(str(tmp_path / "out"))


class TestDatasetSink(_IntegerItems, SinkContract):
    def make_sink(self, tmp_path):
        return DatasetSink(str(tmp_path / "data.json"))


class TestSequential(BackendContract):
    backend = "sequential"


class TestThreadPool(BackendContract):
    backend = "thread_pool"


class SlowToStart(BackendContract):
    """Its processes take seconds to start, and to it one signal is as another: the second one is for campaigns."""

    @pytest.mark.campaign
    def test_stops_cleanly_at_sigterm(self, tmp_path):
        super().test_stops_cleanly_at_sigterm(tmp_path)


class TestLoky(SlowToStart):
    backend = "loky"
    survives_its_workers = True


class TestProcessPool(BackendContract):
    backend = "process_pool"
    survives_its_workers = True


class TestProcessPoolSpawn(BackendContract):
    backend = "process_pool"
    survives_its_workers = True
    options: ClassVar = {"mp_context": "forkserver"}


@pytest.fixture(autouse=True, scope="module")
def _registered():
    with registered():
        runpy.run_path(SIMPLE_BACKEND)
        yield


class TestSimpleBackend(BackendContract):
    backend = "test_simple"
    copies_pipelines = False
    shows_workers = False
    script_setup = f"import runpy; runpy.run_path({SIMPLE_BACKEND!r})"


@pytest.fixture(scope="class")
def dask_cluster():
    """A cluster with two workers, each a process that is replaced when it dies."""
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),  # as in a cluster that a run starts
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield cluster


class TestDask(SlowToStart):
    """Runs of the tests' own process on a cluster that is there; scripts start their own."""

    backend = "dask"
    survives_its_workers = True

    @pytest.fixture(autouse=True)
    def _on_the_cluster(self, dask_cluster):
        self.address = dask_cluster.scheduler_address

    def run(self, pipeline, **more):
        return super().run(pipeline, address=self.address, **more)


@pytest.mark.campaign
class TestDaskAlone(BackendContract):
    """Each run starts a cluster."""

    backend = "dask"
    survives_its_workers = True


@pytest.mark.xdist_group("prefect")
@pytest.mark.usefixtures("prefect_client")  # each run would start a server of its own, for more than 10 s
class TestPrefect(SlowToStart):
    backend = "prefect"
