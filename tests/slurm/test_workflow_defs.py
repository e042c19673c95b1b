"""A workflow as assets of Dagster, here and on a real SLURM, while everything about it is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("dagster")
pytest.importorskip("pandas")

from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, DagsterRunStatus, DynamicPartitionsDefinition

from curator_core.workflow import ExperimentData

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

LOCATION = Path(__file__).parents[1] / "dagster" / "study_location.py"
EXPERIMENTS, TABLE = AssetKey(["study", "experiments"]), AssetKey(["study", "table"])
N, LOOPS = 40, 5
FAILING = [x for x in range(N * LOOPS) if x % 29 == 3]


class Location:
    """A code server, and runs that are launched through it."""

    def __init__(self, project, environment):
        self.project = project
        self.environment = environment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.server = None
        workspace = f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {self.port}, location_name: study}}\n"
        (project.folder / "workspace.yaml").write_text(workspace)

    def start(self):
        """Start the code server, or start it again."""
        with (self.project.folder / "log").open("a") as log:
            command = [sys.executable, "-m", "dagster", "api", "grpc", "-p", str(self.port), "-f", str(LOCATION)]
            self.server = subprocess.Popen(
                command, env=self.environment, cwd=self.project.folder, stdout=log, stderr=log, start_new_session=True
            )

    def launch(self):
        """Launch the job, as the UI does; the id of its run."""
        command = [sys.executable, "-m", "dagster", "job", "launch", "-w", "workspace.yaml", "-j", "study_run"]
        options = {"env": self.environment, "cwd": self.project.folder, "capture_output": True, "text": True}
        self.wait_until(lambda: subprocess.run(command, check=False, **options).returncode == 0)
        with self.project.instance() as instance:
            return instance.get_runs(limit=1)[0].run_id

    def run(self, run_id):
        with self.project.instance() as instance:
            return instance.get_run_by_id(run_id)

    def process(self, run_id):
        """The process of a run, once it has one."""
        with self.project.instance() as instance:
            events = instance.all_logs(run_id, of_type=DagsterEventType.RUN_START)
            return events[-1].get_dagster_event().pid if events else None

    def materialized(self):
        with self.project.instance() as instance:
            return len(instance.get_materialized_partitions(EXPERIMENTS))

    def wait_until(self, claim, timeout_s=600.0):
        deadline = time.monotonic() + timeout_s
        while not (found := claim()):
            assert time.monotonic() < deadline, (self.project.folder / "log").read_text()[-8000:]
            time.sleep(0.1)
        return found

    def wait_for_end(self, run_id):
        return self.wait_until(lambda: (run := self.run(run_id)).is_finished and run)


@contextmanager
def located(project, **environment):
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    settings = {"STUDY_FOLDER": str(project.folder), "PYTHONPATH": paths, "STUDY_N": str(N), "STUDY_LOOPS": str(LOOPS)}
    config = project.home / "dagster.yaml"
    config.write_text(
        f"{config.read_text()}run_coordinator:\n  module: dagster._core.run_coordinator\n"
        "  class: DefaultRunCoordinator\n"
    )
    with project.instance():
        pass  # two processes that make one at the same time break it (dagster 1.13)
    location = Location(project, project.environment | settings | environment)
    location.start()
    try:
        yield location
    finally:
        os.killpg(location.server.pid, signal.SIGKILL)
        location.server.wait()


def queue():
    return subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("mode", "pause"), [("local", "0.4"), ("slurm", "0.8")])
def test_partitions_equal_the_table_whatever_is_killed(project, slurm, mode, pause):
    """200 experiments in a loop of 5, 7 fail: the run is killed, then its code server; the next is terminated."""
    with located(project, STUDY_MODE=mode, STUDY_PAUSE=pause, STUDY_EXECUTOR="multiprocess") as location:
        first = location.launch()
        location.wait_until(lambda: location.materialized() >= 10)
        os.kill(location.process(first), signal.SIGKILL)

        second = location.launch()
        n = location.materialized()
        location.wait_until(lambda: location.materialized() >= n + 10)
        assert location.run(first).status == DagsterRunStatus.FAILURE
        location.server.kill()
        location.server.wait()
        location.start()
        n = location.materialized()
        location.wait_until(lambda: location.materialized() >= n + 10)
        assert location.run(second).status == DagsterRunStatus.STARTED  # it outlives its code server

        pid = location.process(second)
        with project.instance() as instance:
            instance.report_run_canceling(instance.get_run_by_id(second))
        os.kill(pid, signal.SIGINT)
        assert location.wait_for_end(second).status == DagsterRunStatus.CANCELED
        if mode == "slurm":
            location.wait_until(lambda: not queue())
        n = location.materialized()

        third = location.launch()
        assert location.wait_for_end(third).status == DagsterRunStatus.FAILURE  # as 7 experiments failed
    check_equal(project, third)


def check_equal(project, run_id):
    """Partitions, their metadata and the table say the same; nothing was evaluated or recorded without need."""
    folder = project.folder / "jobs" / "study"
    data = ExperimentData.from_file(folder)
    inputs, outputs = data.to_pandas()
    rows = list(range(N * LOOPS))
    assert inputs["x"].tolist() == rows
    assert [row for row, status in data.jobs.items() if status == "error"] == FAILING
    assert set(data.jobs) == {"finished", "error"}
    definition = DynamicPartitionsDefinition(name="study")
    with project.instance() as instance:
        partitions = instance.get_dynamic_partitions("study")
        assert sorted(partitions, key=int) == [str(row) for row in rows]
        statuses = instance.get_status_by_partition(EXPERIMENTS, partitions, definition)
        failed = [int(key) for key, status in statuses.items() if status is not None and status.value == "FAILED"]
        assert sorted(failed) == FAILING
        done = instance.get_materialized_partitions(EXPERIMENTS)
        assert sorted(map(int, done)) == [row for row in rows if row not in FAILING]
        records = instance.fetch_materializations(EXPERIMENTS, limit=1000).records
        assert set(Counter(record.partition_key for record in records).values()) == {1}
        for record in records:
            found = {key: value.value for key, value in record.asset_materialization.metadata.items()}
            x = int(record.partition_key)
            assert found == {
                "curator/row": x,
                "curator/input/x": x,
                "curator/output/y": outputs["y"][x],
                "curator/output/unit": "m²",
            }
        for row in FAILING:
            wanted = AssetRecordsFilter(EXPERIMENTS, asset_partitions=[str(row)])
            seen = instance.fetch_observations(wanted, limit=10).records
            assert {s.asset_observation.description for s in seen} == {f"ValueError: no square of {row}"}
        table = instance.get_latest_materialization_event(TABLE).asset_materialization.metadata
        assert (table["dagster/row_count"].value, table["curator/n_failed"].value) == (200, 7)
        (said,) = instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)
    assert "7 of 200 experiments failed" in str(said.get_dagster_event().step_failure_data.error)
    evaluated = Counter((project.folder / "notes").read_text().split())
    assert evaluated["design"] == LOOPS
    assert sum(evaluated[f"x{x}"] - 1 for x in rows) <= 12, evaluated  # those that were evaluated at a kill
    assert min(evaluated[f"x{x}"] for x in rows) == 1
