"""A pipeline's indices as a job array on a real SLURM."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curator_core import MetricsStore, RunFailed
from curator_core.errors import CuratorError
from curator_core.slurm import SlurmCluster
from curator_core.testing import invocations

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

TARGET = Path(__file__).with_name("slurm_target.py")
N_ITEMS = 12
PAUSE_S = "0.7"


def start(*words):
    return subprocess.Popen([sys.executable, str(TARGET), PAUSE_S, *words], stderr=subprocess.PIPE, text=True)


def wait_until(claim, process=None, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, queue("--states=all")
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def queue(*options):
    """Arrays and their tasks, as SLURM has them."""
    command = ["squeue", "--noheader", "--array", "--format=%A %T", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def arrays_so_far():
    return set(queue("--states=all", "--format=%F"))


def records(folder):
    with MetricsStore(folder / "db" / "run.db") as store:
        return store.items(store.latest_run().run_id)


def test_every_index_is_processed_once_by_the_array_and_recorded(folder, run):
    """One array; paths as from any backend; nothing of it is left but the database and the outputs."""
    assert run() == [[f"out/item_{index:06d}.json"] for index in range(N_ITEMS)]
    assert set(invocations(folder / "log").values()) == {1}
    assert {record.status for record in records(folder).values()} == {"completed"}
    assert not list((folder / "db").glob("*.slurm/*"))
    assert sorted(path.name for path in folder.iterdir()) == ["db", "in", "log", "out"]


def test_a_bad_item_fails_alone_and_is_tried_again(folder, run):
    """Its error comes back; the next run submits it alone."""
    (folder / "in" / "f03.txt").write_text("3 x")
    with pytest.raises(RunFailed, match=r"f03\.txt: ValueError"):
        run()
    (folder / "in" / "f03.txt").write_text("3 4")
    run()
    attempts = invocations(folder / "log")
    assert {key: n for key, n in attempts.items() if n != 1} == {"f03.txt": 2}


def test_a_killed_coordinator_finds_its_array_again(folder, slurm):
    """Kill -9 while tasks work: the next run submits nothing, and no item is processed twice."""
    first = start()
    wait_until(lambda: len(invocations(folder / "log")) >= 4, first)
    first.kill()
    first.communicate()
    before = arrays_so_far()
    second = start()
    assert second.wait(timeout=90) == 0, second.stderr.read()
    second.communicate()
    assert arrays_so_far() == before
    assert set(invocations(folder / "log").values()) == {1}
    assert {record.status for record in records(folder).values()} == {"completed"}


@pytest.mark.campaign
@pytest.mark.parametrize("word", [[], ["cancel"]], ids=["left alone", "cancelled"])
def test_ctrl_c_leaves_the_array_alone_or_cancels_it(folder, slurm, word):
    """As one wants it; either way the next run does only what is left."""
    first = start(*word)
    wait_until(lambda: len(invocations(folder / "log")) >= 4, first)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=30)
    assert first.returncode == 130, said
    if word:
        wait_until(lambda: not queue())
    else:
        assert "goes on; the same run later takes over its results. To end it: scancel" in said
        assert queue()
    done = {key for key, record in records(folder).items() if record.status == "completed"}
    second = start()
    assert second.wait(timeout=90) == 0, second.stderr.read()
    second.communicate()
    attempts = invocations(folder / "log")
    assert {key for key in done if attempts[key] != 1} == set()
    assert len(records(folder)) == N_ITEMS
    if not word:
        assert set(attempts.values()) == {1}


@pytest.mark.campaign
def test_an_item_that_kills_its_task_is_tried_once_more(folder, run, resources):
    """Then it fails by name; whatever else its task had to do is done."""
    few = type(resources)(time=resources.time, mem=resources.mem, max_array_size=2)
    with pytest.raises(RunFailed, match=r"f05\.txt: WorkerDiedError: SLURM tasks ended 2 times while") as caught:
        run({"f04.txt": ["kill"], "f05.txt": ["kill", "kill"]}, resources=few)
    assert len(caught.value.failures) == 1
    attempts = invocations(folder / "log")
    assert (attempts.pop("f04.txt"), attempts.pop("f05.txt")) == (2, 2)
    assert set(attempts.values()) == {1}


@pytest.mark.campaign
def test_a_cancelled_task_fails_its_items_and_the_next_run_does_them(folder, slurm):
    """By name, and soon; the other tasks go on."""
    first = start()
    wait_until(lambda: len(invocations(folder / "log")) >= 2, first)
    array = queue("--states=RUNNING", "--format=%F")[0]
    subprocess.run(["scancel", f"{array}_0"], check=True)
    assert first.wait(timeout=90) == 1
    first.communicate()
    cancelled = {key: record.error for key, record in records(folder).items() if record.status == "error"}
    assert cancelled
    assert all(f"SLURM task {array}_0 was cancelled before" in error for error in cancelled.values())
    second = start()
    assert second.wait(timeout=90) == 0, second.stderr.read()
    second.communicate()
    assert {record.status for record in records(folder).values()} == {"completed"}


def test_tasks_that_cannot_begin_end_the_run_with_what_their_log_says(folder, run, slurm):
    """Not one array after another, for ever."""
    broken = SlurmCluster(account="", runner=slurm.runner, env_setup=["echo 'no such module: python'", "exit 3"])
    with pytest.raises(CuratorError, match=r"end before they begin .*ends with: no such module: python"):
        run(cluster=broken)
    wait_until(lambda: not queue())  # they take a moment to be gone


def test_what_waits_for_ever_says_why(folder, slurm):
    """SLURM takes an array for a partition that is down, and does not begin it."""
    waiting = start("partition down")
    assert re.search(r"array \d+ waits: PartitionDown", waiting.stderr.readline())
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=30)
    assert waiting.returncode == 130


@pytest.mark.campaign
def test_a_run_survives_its_scheduler(folder, slurm, slurm_daemons):
    """While it is away the run waits, says so once, and goes on when it is back; no item is done twice."""
    running = start()
    wait_until(lambda: len(invocations(folder / "log")) >= 4, running)
    slurm_daemons.kill("slurmctld", signal.SIGTERM)
    try:
        assert "cannot be asked; this run goes on, and tries again: " in running.stderr.readline()
    finally:
        slurm_daemons.begin_controller()
    _, said = running.communicate(timeout=90)
    assert running.returncode == 0, said
    assert "cannot be asked" not in said
    assert set(invocations(folder / "log").values()) == {1}
    assert {record.status for record in records(folder).values()} == {"completed"}


@pytest.fixture(params=["before", "after"])
def failing_sbatch(request, tmp_path, monkeypatch):
    """The real one, whose second call loses the scheduler before or after that has taken the job."""
    program, calls = tmp_path / "bin" / "sbatch", tmp_path / "calls"
    program.parent.mkdir()
    lose = "echo 'sbatch: error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
    real = f'{shutil.which("sbatch")} "$@"'
    second = {"before": lose, "after": f"{real} >/dev/null; {lose}"}[request.param]
    program.write_text(f"#!/bin/sh\necho >>'{calls}'\n[ $(wc -l <'{calls}') != 2 ] || {{ {second}; }}\nexec {real}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return calls


@pytest.mark.campaign
def test_what_is_submitted_again_is_submitted_once(folder, run, failing_sbatch, request, caplog):
    """A scheduler that goes away then may have taken the array: the run looks for it before it tries again."""
    before = arrays_so_far()
    run({"f03.txt": ["kill"]})
    assert {key: n for key, n in invocations(folder / "log").items() if n > 1} == {"f03.txt": 2}
    submitted = len(arrays_so_far() - before), len(failing_sbatch.read_text())
    assert submitted == (2, 3 if "before" in request.node.name else 2)
    (told,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "this run goes on, and tries again: " in told
    assert not list((folder / "db").glob("*.slurm/*"))


def test_a_found_array_does_nothing_that_is_not_wanted_any_more(folder, slurm, run):
    """A run of one item ends the rest of an array that a killed run of all items left, before it ends itself."""
    first = start()
    wait_until(lambda: len(invocations(folder / "log")) >= 2, first)
    array = queue("--states=RUNNING", "--format=%F")[0]
    first.kill()
    first.communicate()
    last = N_ITEMS - 1
    assert run(pause_s=float(PAUSE_S), indices=[last]) == [[f"out/item_{last:06d}.json"]]
    states = {line.split()[1] for line in queue("--states=all", f"--jobs={array}")}
    assert "CANCELLED" in states
    wait_until(lambda: not queue("--states=PENDING,RUNNING,COMPLETING"))  # tasks take a moment to be gone
    assert not list((folder / "db").glob("*.slurm/*"))


def test_a_found_array_leaves_an_item_that_changed_to_another(folder, slurm):
    """The task that has it is ended; the others go on, and nothing else is done twice."""
    first = start()
    wait_until(lambda: len(invocations(folder / "log")) >= 2, first)
    first.kill()
    first.communicate()
    (folder / "in" / "f11.txt").write_text("70 80")
    second = start()
    assert second.wait(timeout=90) == 0, second.stderr.read()
    second.communicate()
    assert "70" in (folder / "out" / "item_000011.json").read_text()
    attempts = invocations(folder / "log")
    assert {key for key, n in attempts.items() if n > 1} <= {"f03.txt", "f07.txt", "f11.txt"}  # of the task that ended
    assert {record.status for record in records(folder).values()} == {"completed"}


@pytest.mark.campaign
def test_random_kills_end_in_the_complete_record(folder, slurm, disturb):
    """Of tasks and of the process that waits, which is started again whenever it has ended; cancelled ones, too."""
    for number in range(len(list((folder / "in").iterdir())), 60):
        (folder / "in" / f"f{number:02d}.txt").write_text(f"{number} {number + 1}")
    chance, done, deadline = random.Random(0), [], time.monotonic() + 400
    waiting = start()
    while waiting.poll() != 0:
        assert time.monotonic() < deadline, done
        if waiting.poll() is not None:
            waiting.communicate()
            waiting = start()
        time.sleep(chance.uniform(0.2, 1.5))
        if len(done) == 20:
            continue
        if chance.random() < 0.3:
            waiting.kill()
            done.append("coordinator")
        elif (kind := disturb(chance, folder.name, ["slurm.task"])) is not None:
            done.append(kind)
    waiting.communicate()
    assert len(done) >= 10, done
    found = records(folder)
    assert len(found) == 60
    assert {record.status for record in found.values()} == {"completed"}
    assert all(json.loads((folder / "out" / f"item_{k:06d}.json").read_text()) == [k, k + 1] for k in range(60))
