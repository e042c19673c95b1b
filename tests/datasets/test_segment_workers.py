"""Segments of several items are encoded by the workers of the run, and the bytes are those of one process."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("zarr")
pytest.importorskip("ase")

from curator_core import gather_pipeline, run_pipeline
from curator_core.datasets import segment_tasks
from curator_core.datasets.workers import encoding_in
from curator_core.errors import MergeError
from curator_core.pipeline.components import MergeItem
from curator_core.run.base import RunBackend, register_backend
from curator_core.run.segments import segment_encoder
from tests.datasets.kinds import SINKS, Contents, content, tree

N_ITEMS = 12


@pytest.fixture(autouse=True)
def _few_are_worth_it(monkeypatch):
    monkeypatch.setattr(segment_tasks, "LEAST_BYTES", 0)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Function that runs a pipeline whose items share files, in a folder of its own, and gives the dataset."""

    def run(name, kind, versions, **options):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        Path("versions.json").write_text(json.dumps(versions))
        sink = SINKS[kind]("d.zarr", items_per_segment=3)
        pipeline = Contents(kind).write(sink).with_settings(db_file="run.db", resume=True)
        run_pipeline(pipeline, progress=False, **{"gather": True} | options)
        return tmp_path / name / "d.zarr"

    return run


class OneAfterTheOther(RunBackend):
    """A backend of another package: the simplest there can be."""

    name = "test_one_after_the_other"

    def run(self, pipeline, config):
        return [pipeline[index] for index in config.indices]


@pytest.fixture
def simple():
    """Its name, while it is registered."""
    return register_backend(OneAfterTheOther).name


@pytest.fixture
def handed(monkeypatch):
    """Names of the segments that were handed to workers."""
    found, source = [], segment_tasks.SegmentSource

    def made(tasks):
        found.extend(task.name for task in tasks)
        return source(tasks)

    monkeypatch.setattr(segment_tasks, "SegmentSource", made)
    return found


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        pytest.param("process_pool", "small atoms", marks=pytest.mark.campaign),
        ("thread_pool", "small atoms"),
        ("loky", "small meshes"),
        ("", "small meshes"),
    ],
)
def test_workers_encode_what_changed(publish, handed, simple, backend, kind):
    """At first all segments, then those of items that changed, with the rows of their neighbours."""
    if backend == "loky":
        pytest.importorskip("joblib")
    versions = {f"k{n}": n for n in range(N_ITEMS)}
    changed = versions | {"k3": 20, "k8": 21}
    del changed["k5"]
    for here in (versions, changed):
        handed.clear()
        found = publish("a", kind, here, n_jobs=2, backend=backend or simple)
        assert len(handed) > 1
    assert tree(found) == tree(publish("b", kind, changed))
    assert not list(found.parent.glob("*segments*"))


@pytest.mark.parametrize("options", [{"n_jobs": 2}, {"backend": "thread_pool", "n_jobs": 2}, {}])
def test_gathering_alone_has_workers_of_its_own(publish, handed, options):
    """As many as are asked for, on the backend that is asked for; none by default."""
    versions = {f"k{n}": n for n in range(N_ITEMS)}
    found = publish("a", "small atoms", versions, gather=False)
    pipeline = Contents("small atoms").write(SINKS["small atoms"]("d.zarr", items_per_segment=3))
    gather_pipeline(pipeline.with_settings(db_file="run.db"), **options)
    assert (len(handed) > 1) == bool(options)
    assert tree(found) == tree(publish("b", "small atoms", versions))


def _items(folder, versions):
    sink = SINKS["small atoms"](str(folder / "d.zarr"), items_per_segment=3)
    for index, (key, version) in enumerate(versions.items()):
        part = folder / f"{key}-{version}.part"
        if not part.exists():
            sink.write_shard(iter(content("small atoms", key, version)), str(part))
        yield MergeItem(index, key, None, str(version), part)


def test_what_was_encoded_before_a_kill_is_taken(tmp_path):
    """The publication is killed after three segments: those are not encoded again, and the damaged one of them is."""
    sink = SINKS["small atoms"](str(tmp_path / "d.zarr"), items_per_segment=3)
    items = list(_items(tmp_path, {f"k{n}": n for n in range(N_ITEMS)}))
    encoded = []

    def encode(pipeline, folder, n=99):
        for index in range(min(n, len(pipeline))):
            encoded.extend(pipeline.sink(pipeline.source[index], index))
        if n < len(pipeline):
            os.kill(os.getpid(), signal.SIGKILL)

    if not (pid := os.fork()):
        with encoding_in(tmp_path / "encoded", lambda pipeline, folder: encode(pipeline, folder, n=3)):
            sink.merge_items(items, None, str(tmp_path / "killed.zarr"))
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    there = sorted((tmp_path / "encoded").iterdir())
    assert len(there) == 3
    there[0].write_bytes(there[0].read_bytes()[:-1])  # the machine went down as well
    with encoding_in(tmp_path / "encoded", encode):
        sink.merge_items(items, None, str(tmp_path / "again.zarr"))
    assert str(there[0]) in encoded
    assert not {str(path) for path in there[1:]} & set(encoded)
    sink.merge_items(items, None, str(tmp_path / "scratch.zarr"))
    assert tree(tmp_path / "again.zarr") == tree(tmp_path / "scratch.zarr")
    assert not (tmp_path / "encoded").exists()


def test_a_part_that_workers_cannot_read_is_named(tmp_path):
    """The error is that of one process: it names the shard."""
    items = list(_items(tmp_path, {f"k{n}": n for n in range(N_ITEMS)}))
    damaged = bytearray(items[5].shard.read_bytes())
    damaged[-1] ^= 1
    items[5].shard.write_bytes(damaged)
    sink = SINKS["small atoms"](str(tmp_path / "d.zarr"), items_per_segment=3)
    expected = pytest.raises(MergeError, match=f"{items[5].shard.name} cannot be read .*process its item again")
    with expected, encoding_in(tmp_path / "encoded", segment_encoder("process_pool", 2, {})):
        sink.merge_items(items, None, str(tmp_path / "a.zarr"))


def test_little_is_encoded_by_who_publishes(publish, handed, monkeypatch):
    """Workers would not have begun by then."""
    monkeypatch.setattr(segment_tasks, "LEAST_BYTES", 1 << 20)
    publish("a", "small meshes", {f"k{n}": n for n in range(N_ITEMS)}, n_jobs=2)
    assert handed == []
