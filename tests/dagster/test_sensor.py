"""The sensor that watches the source, tick by tick, and the schedule; with the daemon in test_daemon.py."""

import json
import re

import pytest
from dagster import (
    DagsterInvalidDefinitionError,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Failure,
    RunRequest,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)
from dagster._core.remote_origin import (  # noqa: PLC2701 - queued runs need an origin
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)


class Ticks:
    """Evaluates the sensor as the daemon does, cursor in, cursor out."""

    def __init__(self, watched):
        self.watched = watched
        self.cursor = None

    def tick(self):
        """The run key that is requested, or why none is."""
        defs = self.watched.defs
        context = build_sensor_context(self.watched.instance, cursor=self.cursor, definitions=defs)
        data = defs.resolve_sensor_def("numbers_new_data").evaluate_tick(context)
        self.cursor = data.cursor
        keys = [request.run_key for request in data.run_requests]
        assert len(keys) <= 1
        return keys[0] if keys else data.skip_message


@pytest.fixture
def ticks(watched):
    return Ticks(watched)


@pytest.fixture
def settled(watched, ticks):
    """Everything is processed, and the sensor has seen it."""
    assert watched.refresh()
    assert "processed already" in ticks.tick()
    return ticks


def job_origin(name):
    """What queued runs need."""
    return RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "there"), name)


def create_run(watched, status, **tags):
    job = watched.defs.resolve_job_def("numbers_refresh")
    origin = job_origin(job.name)
    return watched.instance.create_run_for_job(job, status=status, tags=tags, remote_job_origin=origin)


def requested(said):
    """Whether a tick requested a run; it says the run's key."""
    return re.fullmatch(r"[0-9]+-[0-9a-f]{16}", said) is not None


def test_an_empty_instance_gets_one_refresh_and_then_rest(watched, ticks):
    """Everything is new: one request; the same listing is never a reason again."""
    assert ticks.tick().startswith("1-")
    assert ticks.tick() == "4 items, nothing changed."
    assert watched.refresh()
    assert ticks.tick() == "4 items, nothing changed."


def test_what_was_refreshed_by_hand_is_not_requested(watched, ticks):
    """The cursor moves without a run."""
    assert watched.refresh()
    assert ticks.tick() == "4 items, all changes are processed already."
    assert ticks.tick() == "4 items, nothing changed."


def test_what_is_new_changed_or_gone_is_requested_once(watched, settled):
    """One request for each change, and for all kinds at once, after which exactly that is processed."""
    project = watched.project

    def add():
        project.put(e="9", f="10")

    def change():
        project.put(c="40 50 60 70")

    def remove():
        (project.input / "a.txt").unlink()

    def do_all():
        project.put(g="1", d="70 80")
        (project.input / "b.txt").unlink()

    for act, processed in (
        (add, {"e.txt", "f.txt"}),
        (change, {"c.txt"}),
        (remove, set()),
        (do_all, {"d.txt", "g.txt"}),
    ):
        before = project.invocations()
        act()
        assert requested(settled.tick())
        assert settled.tick().endswith("items, nothing changed.")
        assert watched.refresh()
        assert settled.tick().endswith("items, nothing changed.")
        assert (project.invocations() - before).keys() == processed
    assert project.dataset() == {
        "c.txt": [40, 50, 60, 70],
        "d.txt": [70, 80],
        "e.txt": [9],
        "f.txt": [10],
        "g.txt": [1],
    }


def test_a_change_back_to_an_earlier_state_is_a_change(watched, settled):
    """Its run key differs from that of the first time."""
    extra = watched.project.input / "e.txt"
    watched.project.put(e="9")
    keys = [settled.tick()]
    extra.rename(extra.with_suffix(".away"))
    assert settled.tick() == "4 items, all changes are processed already."
    extra.with_suffix(".away").rename(extra)
    keys.append(settled.tick())
    assert all(map(requested, keys))
    assert keys[0] != keys[1]
    assert keys[0].partition("-")[2] == keys[1].partition("-")[2]


def test_nothing_is_requested_while_a_refresh_is_queued_or_in_progress(watched, settled):
    """The reason names the run, the cursor stays, and the change is requested once that run ended."""
    watched.project.put(e="9")
    before = settled.cursor
    for status in ("QUEUED", "STARTING", "STARTED", "CANCELING"):
        run = create_run(watched, DagsterRunStatus(status))
        said = settled.tick()
        assert run.run_id in said
        assert status.lower() in said
        assert settled.cursor == before
        watched.instance.delete_run(run.run_id)
    assert requested(settled.tick())


def test_items_that_failed_as_they_are_are_no_reason(watched, ticks):
    """No endless retries: neither after the failure, nor for a sensor that begins afresh; repaired, it is processed."""
    project = watched.project
    project.put(b="x")
    assert ticks.tick().startswith("1-")
    assert not watched.refresh()
    assert ticks.tick() == "4 items, nothing changed."
    ticks.cursor = None
    assert ticks.tick() == "4 items, all changes are processed already."
    project.put(b="3")
    assert requested(ticks.tick())
    assert watched.refresh()
    assert project.dataset()["b.txt"] == [3]


def test_what_a_killed_refresh_left_is_requested_again_with_growing_pauses(watched, settled, monkeypatch):
    """Nobody tried its items. One that ended because of them, was canceled or is somebody else's is left as it is."""
    own = {"dagster/sensor_name": "numbers_new_data"}
    quiet = "5 items, nothing changed."
    watched.project.put(e="8")
    assert requested(settled.tick())
    for status, tags in (("CANCELED", own), ("FAILURE", {})):
        create_run(watched, DagsterRunStatus[status], **tags)
        assert settled.tick() == quiet
    killed = create_run(watched, DagsterRunStatus.FAILURE, **own).run_id
    assert re.fullmatch(
        f"Run {killed} of numbers_refresh ended before it was done; another one is requested in (29|30) s.",
        settled.tick(),
    )
    monkeypatch.setattr("curator_dagster.automation.repeats.REPEAT_AFTER_S", 0.0)
    assert requested(settled.tick())
    monkeypatch.setattr("curator_dagster.automation.repeats.REPEAT_AFTER_S", 30.0)
    create_run(watched, DagsterRunStatus.FAILURE, **own)
    assert re.search("another one is requested in (59|60) s", settled.tick())
    watched.project.put(e="x")
    assert requested(settled.tick())
    assert not watched.refresh()
    (failed,) = watched.instance.get_runs(limit=1)
    watched.instance.add_run_tags(failed.run_id, own)
    assert settled.tick() == "5 items, all changes are processed already."
    assert json.loads(settled.cursor)["judged"] == failed.run_id
    assert settled.tick() == quiet


def test_within_the_tolerance_an_unpublished_dataset_is_a_reason(watched, ticks):
    """What failed may be missing, so what is there can be published: a refresh is asked for."""
    watched.project.put(b="x")
    assert not watched.refresh()
    assert watched.project.dataset() is None
    watched.settings["max_missing"] = 1
    assert requested(ticks.tick())
    watched.refresh()
    assert set(watched.project.dataset()) == {"a.txt", "c.txt", "d.txt"}


def test_another_configuration_makes_everything_due(watched, settled):
    """A listing alone does not say what is processed: the pipeline's configuration counts, too."""
    template = watched.pipeline
    watched.pipeline = lambda: template().with_settings(filters=())
    assert requested(settled.tick())


def test_a_folder_that_vanishes_and_comes_back_is_no_change(watched, settled):
    """Skipped in plain words; nothing is requested before, meanwhile or after."""
    project = watched.project
    before = settled.cursor
    project.input.rename(project.folder / "elsewhere")
    said = settled.tick()
    assert said == (
        "The source of 'numbers' (NumberFiles) lists no items; the last good dataset and all partitions stay."
    )
    assert settled.cursor == before
    (project.folder / "elsewhere").rename(project.input)
    assert settled.tick() == "4 items, nothing changed."


def test_a_tick_that_died_after_its_launch_asks_for_the_same_run(watched, settled):
    """Dagster knows the run by its key; a run that did its work is not asked for at all."""
    watched.project.put(e="9")
    before = settled.cursor
    key = settled.tick()
    settled.cursor = before
    assert settled.tick() == key
    create_run(watched, DagsterRunStatus.FAILURE, **{"dagster/run_key": key})
    settled.cursor = before
    assert settled.tick() == key
    assert watched.refresh()
    settled.cursor = before
    assert "processed already" in settled.tick()


def test_after_a_reset_of_the_cursor_what_is_due_is_requested_anew(watched, settled):
    """Whoever resets it wants another look, whatever became of the first run."""
    watched.project.put(e="9")
    key = settled.tick()
    create_run(watched, DagsterRunStatus.FAILURE, **{"dagster/run_key": key})
    settled.cursor = None
    again = settled.tick()
    assert again != key
    assert again.partition("-")[2] == key.partition("-")[2]
    settled.cursor = "what somebody typed"
    assert settled.tick() == again


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/data"), "PermissionError: .*Permission denied: '/data'"),
        (KeyError("bucket"), "KeyError: 'bucket'"),
    ],
)
def test_a_source_that_raises_fails_the_tick_with_one_sentence(watched, settled, error, said):
    """The cursor stays; when it works again, nothing was lost."""
    template = watched.pipeline
    before = settled.cursor

    def broken():
        pipeline = template()

        def refuse():
            raise error

        pipeline.source._listed = refuse
        return pipeline

    watched.pipeline = broken
    with pytest.raises(Failure, match=f"^ComponentError: The source of 'numbers' cannot be listed: {said}$"):
        settled.tick()
    watched.pipeline = template
    assert settled.cursor == before
    assert settled.tick() == "4 items, nothing changed."


def test_the_cursor_stays_small(watched, ticks):
    """A few bytes, however many items there are."""
    watched.project.put(**{f"n{i}": str(i) for i in range(300)})
    ticks.tick()
    assert len(ticks.cursor) < 120
    assert json.loads(ticks.cursor)["n_requests"] == 1


def test_the_sensors_settings(watched):
    """Stopped and every 30 seconds by default; an interval, none, or started if asked for."""

    def sensors():
        return {sensor.name: sensor for sensor in watched.defs.sensors}

    assert sensors().keys() == {"numbers_new_data", "numbers_automation"}
    for sensor in sensors().values():
        assert sensor.minimum_interval_seconds == 30
        assert sensor.default_status == DefaultSensorStatus.STOPPED
    watched.settings = {"watch": 0.5, "start_automation": True}
    assert sensors()["numbers_new_data"].minimum_interval_seconds == 1
    assert {sensor.default_status for sensor in sensors().values()} == {DefaultSensorStatus.RUNNING}
    watched.settings = {"watch": True}
    assert sensors()["numbers_new_data"].minimum_interval_seconds == 30
    watched.settings = {"watch": False}
    assert sensors().keys() == {"numbers_automation"}


@pytest.mark.parametrize("watch", [0, -1, float("nan"), float("inf")])
def test_a_wrong_interval_is_refused_when_it_is_defined(watched, watch):
    """With the curation's name and what is possible."""
    watched.settings = {"watch": watch}
    with pytest.raises(DagsterInvalidDefinitionError, match="'numbers': watch must be a number of seconds above 0"):
        _ = watched.defs


def test_the_schedule(watched):
    """It requests the refresh job, not while one is in progress; stopped unless asked for."""
    assert not watched.defs.schedules
    watched.settings = {"schedule": "0 5 * * *"}
    (schedule,) = watched.defs.schedules
    assert (schedule.name, schedule.cron_schedule, schedule.job_name) == (
        "numbers_schedule",
        "0 5 * * *",
        "numbers_refresh",
    )
    assert schedule.default_status == DefaultScheduleStatus.STOPPED
    with watched.project.instance() as watched.instance, build_schedule_context(watched.instance) as context:
        assert isinstance(schedule(context), RunRequest)
        run = create_run(watched, DagsterRunStatus.STARTED)
        said = schedule(context)
        assert isinstance(said, SkipReason)
        assert run.run_id in said.skip_message
    watched.settings["start_automation"] = True
    (schedule,) = watched.defs.schedules
    assert schedule.default_status == DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize("cron", ["every day", "", "61 * * * *", "* * *"])
def test_a_wrong_cron_string_is_refused_when_it_is_defined(watched, cron):
    """Dagster's own words name the schedule."""
    watched.settings = {"schedule": cron}
    with pytest.raises(DagsterInvalidDefinitionError, match=r"invalid cron schedule .* 'numbers_schedule'"):
        _ = watched.defs
