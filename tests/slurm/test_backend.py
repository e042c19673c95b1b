"""A pipeline's indices as a job array on a real SLURM."""

import pytest

from curator_core import MetricsStore, RunFailed, run_pipeline
from curator_core.testing import FaultySource, FileSource, JsonSink, invocations

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

N_ITEMS = 12


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(N_ITEMS):
        (tmp_path / "in" / f"f{number:02d}.txt").write_text(f"{number} {number + 1}")
    return tmp_path


def pipeline(faults=None, pause_s=0.0):
    source = FaultySource(FileSource("in", by_content=True), "log", faults, pause_s)
    return source.write(JsonSink("out")).with_settings(db_file="db/run.db", resume=True)


def statuses(folder):
    with MetricsStore(folder / "db" / "run.db") as store:
        return {key: record.status for key, record in store.items(store.latest_run().run_id).items()}


def test_every_index_is_processed_once_by_the_array_and_recorded(folder, slurm, resources):
    """One array; paths as from any backend; nothing of it is left but the database and the outputs."""
    paths = run_pipeline(pipeline(), backend="slurm", cluster=slurm, resources=resources, progress=False)
    assert paths == [[f"out/item_{index:06d}.json"] for index in range(N_ITEMS)]
    assert set(invocations(folder / "log").values()) == {1}
    assert set(statuses(folder).values()) == {"completed"}
    assert not list((folder / "db").glob("*.slurm/*"))


def test_a_bad_item_fails_alone_and_is_tried_again(folder, slurm, resources):
    """Its error and traceback come back; the next run submits it alone."""
    (folder / "in" / "f03.txt").write_text("3 x")
    with pytest.raises(RunFailed, match=r"f03\.txt: ValueError"):
        run_pipeline(pipeline(), backend="slurm", cluster=slurm, resources=resources, progress=False)
    (folder / "in" / "f03.txt").write_text("3 4")
    run_pipeline(pipeline(), backend="slurm", cluster=slurm, resources=resources, progress=False)
    attempts = invocations(folder / "log")
    assert {key: n for key, n in attempts.items() if n != 1} == {"f03.txt": 2}
