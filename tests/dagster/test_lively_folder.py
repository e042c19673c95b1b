"""Automations on a folder that never rests, with processes that are killed: nothing is red without a reason in it."""

import json
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterEventType, DagsterRunStatus, RunsFilter

from curator_core import gather_pipeline, run_pipeline

SAMPLES = AssetKey(["numbers", "samples"])
SETTINGS = """
telemetry: {enabled: false}
run_queue: {dequeue_interval_seconds: 1}
run_monitoring: {enabled: true, poll_interval_seconds: 1, start_timeout_seconds: 30}
"""
CALM = ("nothing changed.", "all changes are processed already.")


@dataclass
class LivelyFolder:
    """Somebody adds, corrects and deletes files; it is remembered which were wrong, and when."""

    folder: Path
    one_bad_in: int
    dice: random.Random = field(default_factory=lambda: random.Random(11))
    n_added: int = 0
    bad: dict = field(default_factory=dict)
    was_bad: list = field(default_factory=list)

    def change(self):
        """Add a file; from time to time correct another, or delete one."""
        self.n_added += 1
        # Names come in any order: a new file shifts the indices of others.
        name = f"{self.dice.randrange(1000):03d}-{self.n_added}"
        is_bad = self.n_added % self.one_bad_in == 0
        self._write(name, "x" if is_bad else self._numbers())
        if self.n_added % 3 == 0:
            self._write(self._any(), self._numbers())
        if self.n_added % 5 == 0:
            self._forget(self._any()).unlink()
        for name in [name for name, since in self.bad.items() if time.time() - since > 5 * self.dice.random()]:
            self._write(name, self._numbers())

    def correct_all(self):
        for name in list(self.bad):
            self._write(name, self._numbers())

    def reasons(self, start, end):
        """Names that were wrong at some moment of a time."""
        now = [(name, since, time.time()) for name, since in self.bad.items()]
        return {f"{name}.txt" for name, since, until in [*self.was_bad, *now] if since <= end and until >= start}

    def _any(self):
        return self.dice.choice(sorted(self.folder.glob("*.txt"))).stem

    def _numbers(self):
        return " ".join(str(self.dice.randrange(1000)) for _ in range(self.dice.randrange(1, 5)))

    def _write(self, name, text):
        path = self._forget(name)
        draft = path.with_suffix(".draft")
        draft.write_text(text)
        if text == "x":
            self.bad[name] = time.time()
        draft.rename(path)

    def _forget(self, name):
        if name in self.bad:
            self.was_bad.append((name, self.bad.pop(name), time.time()))
        return self.folder / f"{name}.txt"


@dataclass
class Course:
    """How long at least, how quick, and how often something is killed."""

    seconds: float
    period_s: float
    kill_every_s: float
    one_bad_in: int
    victims: tuple = (("daemon",), ("run",), ("numbers",))
    executor: str = "in_process"


def lively(project, deployment, course, instance):
    """Let a folder live until everything was killed, and worked again; gives it and when runs may have died."""
    folder = LivelyFolder(project.input, course.one_bad_in)
    own = {"NUMBERS_FOLDER": str(project.folder), "NUMBERS_EXECUTOR": course.executor, "NUMBERS_PRUNE": "1"}
    own["NUMBERS_MAX_MISSING"] = "3"
    own["NUMBERS_SETTINGS"] = json.dumps({"watch": 1, "start_automation": True})
    deployment.start_code(project.location, **own)
    deployment.start_daemon()
    deployment.wait_for(lambda: n_ended(instance), "the first refresh")
    deaths, begun = [], time.monotonic()
    next_change, next_kill, n_kills, n_before = begun, begun + course.kill_every_s, 0, 1
    while time.monotonic() < begun + course.seconds or n_kills < len(course.victims) or n_ended(instance) == n_before:
        assert time.monotonic() < begun + course.seconds + 240, deployment.log("daemon").read_text()[-5000:]
        if time.monotonic() >= next_kill and (n_now := n_ended(instance)) > n_before:
            for victim in course.victims[n_kills % len(course.victims)]:
                kill(deployment, instance, victim, deaths)
            next_kill, n_kills, n_before = time.monotonic() + course.kill_every_s, n_kills + 1, n_now
        if time.monotonic() >= next_change:
            next_change += course.period_s
            folder.change()
        time.sleep(min(0.1, max(0.0, next_change - time.monotonic())))
    return folder, deaths


def n_ended(instance):
    return instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]))


def kill(deployment, instance, victim, deaths):
    """SIGKILL to a server, which starts again, or to a run as soon as one is at work."""
    if victim != "run":
        deaths.append(time.time())
        deployment.kill(victim)
        deployment.restart(victim)
        return
    deaths.append(time.time())
    os.kill(deployment.wait_for(lambda: process_of_a_run(instance), "a run to kill"), signal.SIGKILL)
    deaths.append(time.time())


def process_of_a_run(instance):
    """Of one that has begun."""
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED])):
        for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START):
            return entry.dagster_event.pid
    return None


def unexplained(instance, folder, deaths):
    """Failed runs, and failed items, for which there is no reason in the folder; runs that were killed have one."""
    found = []
    for record in instance.get_run_records(RunsFilter(statuses=[DagsterRunStatus.FAILURE])):
        run, start, end = record.dagster_run, record.create_timestamp.timestamp(), record.end_time
        logs = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
        failures = [entry.dagster_event.step_failure_data for entry in logs]
        tables = [f.user_failure_data.metadata.get("curator/failed") for f in failures if f.user_failure_data]
        names = {row.data["key"] for table in tables if table for row in table.records}
        is_killed = not failures and any(start <= death <= end + 60 for death in deaths)
        if not is_killed and not (names and names <= folder.reasons(start, end)):
            messages = [f.error_display_string for f in failures] or [e.message for e in instance.all_logs(run.run_id)][
                -3:
            ]
            found.append((run.run_id, run.job_name, names, messages))
    return found


def is_calm(instance, since):
    """Whether the sensor looked after a time and saw nothing to do."""
    states = [state for state in instance.all_instigator_state() if state.instigator_name == "numbers_new_data"]
    ticks = [t for s in states for t in instance.get_ticks(s.instigator_origin_id, s.selector_id, limit=1)]
    return bool(ticks) and ticks[0].timestamp > since and str(ticks[0].skip_reason).endswith(CALM)


def from_scratch(project, location):
    """The numbers of all files, from a pipeline that knows nothing of the past."""
    location.FOLDER = project.folder / "scratch"
    location.FOLDER.mkdir()
    (location.FOLDER / "input").symlink_to(project.input)
    pipeline = location.numbers_pipeline()
    run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline)
    entries = json.loads((location.FOLDER / "output" / "numbers.json").read_text())
    return {entry["key"]: entry["numbers"] for entry in entries}, (location.FOLDER / "output" / "sum.json").read_bytes()


def check(project, deployment, monkeypatch, course):
    with project.instance() as instance:
        folder, deaths = lively(project, deployment, course, instance)
        folder.correct_all()
        folder.change()
        folder.correct_all()
        since = time.time()
        deployment.wait_for(lambda: is_calm(instance, since), lambda: str(instance.get_runs(limit=3)), 240.0)
        assert unexplained(instance, folder, deaths) == []
        listed = {path.name for path in project.input.glob("*.txt")}
        assert set(instance.get_dynamic_partitions("numbers")) == listed
        assert instance.get_materialized_partitions(SAMPLES) >= listed
    dataset, sums = from_scratch(project, project.load(monkeypatch))
    assert project.dataset() == dataset
    assert project.outputs()["sum.json"] == sums


@pytest.mark.campaign
def test_a_short_life_of_a_folder(project, deployment, monkeypatch):
    """A sample, on SQLite; daemon, code server and a run are killed once each."""
    (project.home / "dagster.yaml").write_text(SETTINGS)
    check(project, deployment, monkeypatch, Course(4.0, 0.4, 1.0, 8, (("daemon", "numbers"), ("run",))))


@pytest.mark.campaign
@pytest.mark.timeout(5400)
@pytest.mark.xdist_group("postgres")
def test_automations_on_a_lively_folder(project, deployment, new_database, monkeypatch):
    """As long as ``CURATOR_LIVELY_MINUTES`` says, on PostgreSQL; a file every two seconds, kills."""
    storage = f'storage: {{postgres: {{postgres_url: "{new_database()}"}}}}'
    retries = "run_retries: {enabled: true, max_retries: 3, retry_on_asset_or_op_failure: false}"
    (project.home / "dagster.yaml").write_text(f"{SETTINGS}{storage}\n{retries}\n")
    minutes = float(os.environ.get("CURATOR_LIVELY_MINUTES", "2"))
    check(project, deployment, monkeypatch, Course(60.0 * minutes, 2.0, 47.0, 50, executor="multiprocess"))
