"""Runs of one curation take turns: whatever comes between the steps of one, nothing is lost, mixed or done twice."""

import threading
from contextvars import Context

import pytest
from dagster import AssetKey, DagsterInstance, DagsterLogManager, in_process_executor

from curator_core import gather_pipeline, run_pipeline
from curator_core.errors import StoreBusyError
from curator_core.session.session import Session
from curator_dagster import build_curation_defs

from .conftest import LOCATION, QUIET, loaded

SAMPLES = AssetKey(["numbers", "samples"])
ALL = ["a.txt", "b.txt", "c.txt", "d.txt"]


class Meddled:
    """A curation whose runs have one item a step; something comes before a step."""

    def __init__(self, project, instance):
        self.project, self.instance = project, instance
        self.pipeline = loaded(LOCATION).numbers_pipeline
        self.before = {}
        self._n_opened = 0

    def _opened(self):
        number, self._n_opened = self._n_opened, self._n_opened + 1
        self.before.pop(number, lambda: None)()
        return self.pipeline()

    def run(self, *, is_refresh):
        defs = build_curation_defs("numbers", self._opened, executor=in_process_executor, batch_size=1)
        self._n_opened = 0
        options = {"instance": self.instance, "raise_on_error": False, "run_config": QUIET}
        if is_refresh:
            return defs.resolve_job_def("numbers_refresh").execute_in_process(**options)
        tags = {"dagster/asset_partition_range_start": "a.txt", "dagster/asset_partition_range_end": "d.txt"}
        job = defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(asset_selection=[SAMPLES], tags=tags, **options)


@pytest.fixture
def meddled(project, monkeypatch):
    monkeypatch.setenv("NUMBERS_FOLDER", str(project.folder))
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("numbers", ALL)
        yield Meddled(project, instance)


@pytest.mark.parametrize("is_shifted", [False, True])
@pytest.mark.parametrize("is_refresh", [False, True])
def test_a_plain_run_between_two_steps(meddled, is_refresh, is_shifted):
    """What it did is not done again, though every index stands for another item by then; all is answered for."""
    project = meddled.project

    def other():
        if is_shifted:
            project.put(Z="26")  # before all others
        run_pipeline(meddled.pipeline().with_settings(resume=True), progress=False)

    meddled.before = {2: other}  # one is done
    assert meddled.run(is_refresh=is_refresh).success
    names = [*ALL, *(["Z.txt"] if is_shifted else [])]
    assert project.invocations() == dict.fromkeys(names, 1)
    if not is_refresh:
        assert meddled.instance.get_materialized_partitions(SAMPLES) == set(ALL)
    assert meddled.run(is_refresh=True).success
    # What came after a refresh was planned is not in its dataset: the next one does it (again).
    assert project.invocations() | {"Z.txt": 1} == dict.fromkeys([*names, "Z.txt"], 1)
    assert sorted(project.dataset()) == sorted(names)
    assert meddled.instance.get_materialized_partitions(SAMPLES) == set(names)


def test_a_run_of_partitions_between_two_steps_of_a_refresh(meddled):
    """They divide the items; both are green."""
    inner = Meddled(meddled.project, meddled.instance)
    done = []
    meddled.before = {2: lambda: done.append(inner.run(is_refresh=False).success)}
    assert meddled.run(is_refresh=True).success
    assert done == [True]
    assert meddled.project.invocations() == dict.fromkeys(ALL, 1)
    assert sorted(meddled.project.dataset()) == ALL


@pytest.mark.parametrize("is_refresh", [False, True])
def test_nobody_comes_in_while_a_step_is_at_work(meddled, monkeypatch, is_refresh):
    """A run and a gathering are told who is at work, and the step waits for those that are."""
    monkeypatch.setattr("curator_core.session.claims._WAIT_S", 0)
    monkeypatch.setattr("curator_core.session.gather._WAIT_S", 0)
    pipeline, told = meddled.pipeline(), []
    source = type(pipeline.source)

    def reading(self, index, read=source.__getitem__):
        other = meddled.pipeline().with_settings(resume=True)
        if index:  # once is enough
            yield from read(self, index)
            return
        # In a context of its own, as in another process: a step may gather its own outputs.
        for work in (lambda: run_pipeline(other, progress=False), lambda: gather_pipeline(other)):
            with pytest.raises(StoreBusyError) as caught:
                Context().run(work)
            told.append(str(caught.value))
        yield from read(self, index)

    monkeypatch.setattr(source, "__getitem__", reading)
    run = meddled.run(is_refresh=is_refresh)
    assert run.success
    assert len(told) == 2
    assert all(f"Dagster run {run.run_id}" in text or "a process that is at work on items" in text for text in told)
    assert meddled.project.invocations() == dict.fromkeys(ALL, 1)


def test_a_refresh_waits_for_a_run_that_is_going_on(meddled, monkeypatch):
    """In another thread here, until the log says for whom."""
    pipeline, begun, waits = meddled.pipeline(), threading.Event(), threading.Event()
    log = DagsterLogManager.info

    def info(self, text, *args, **options):
        log(self, text, *args, **options)
        if "this one waits for its end" in text:
            waits.set()

    def other():
        with Session.open(pipeline):
            begun.set()
            waits.wait(60)

    monkeypatch.setattr(DagsterLogManager, "info", info)
    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(60)
    run = meddled.run(is_refresh=True)
    thread.join()
    assert run.success
    said = [entry.user_message for entry in meddled.instance.all_logs(run.run_id)]
    assert [text for text in said if "this one waits for its end" in text and "locked by curator" in text]
