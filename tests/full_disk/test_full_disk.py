"""A disk that gets full at each write: said by name, nothing lost, nothing left, complete once there is room."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SITUATIONS = (
    *("numbers", "first", "merged", "absorbed", "gathering", "molecules"),
    *("threads", "pool"),
    *("study", "parallel_study", "table"),
    *("metrics", "pipeline_file", "report"),
    *(
        "cli_run",
        "cli_retry",
        "cli_status",
        "cli_plan",
        "cli_csv",
        "cli_json",
        "cli_parquet",
        "cli_scripts",
        "cli_init",
    ),
)
STEPS = {"pool": 4, "report": 3, "molecules": 2}
"""Of those whose trials take long."""
NEED_NO_ROOM = ("cli_status", "cli_plan")
"""What works on a disk that is full from the beginning."""
SAMPLE = (
    ("merged", "inodes", (9, 19)),
    ("merged", "blocks", (6, 25)),
    ("table", "inodes", (3,)),
    ("parallel_study", "inodes", (16,)),
    ("cli_status", "blocks", (0,)),
)
N_ERRORS = 6
"""Of the sample: the status of a run is told without any room."""
N_ITEMS = 200
"""Of a refresh."""
SENTENCE = re.compile(r"Dagster's (event log|database) cannot be .*(disk|I/O).* lost")


@functools.cache
def own_mounts() -> tuple[str, ...] | None:
    """The command that runs another one where it may mount file systems; ``None`` where that is not allowed."""
    if shutil.which("unshare") is None:
        return None
    attempt = f"import sys; sys.path.insert(0, {str(HERE)!r}); import disk; disk.SmallDisk(disk.Path('/mnt')).close()"
    for options in ("-Urm", "-m"):
        command = ["unshare", options, sys.executable, "-c", attempt]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return "unshare", options
    return None


pytestmark = pytest.mark.mounts


def alone(script, *words):
    """What a script says that runs where it may mount disks."""
    prefix = own_mounts()
    if prefix is None:
        pytest.skip("this system lets nobody mount a disk of his own (unshare -Urm)")
    command = [*prefix, sys.executable, str(HERE / script), *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return done


def wrong_with(plan, folder):
    """How many trials ended with an error, and what went wrong."""
    done = alone("trials.py", folder, json.dumps(plan))
    trials = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return sum(error is not None for *_, error, _ in trials), [trial for trial in trials if trial[-1]]


def test_a_sample(tmp_path):
    """Some writes of runs, of gathering, of a table of experiments and of a workflow; and what needs no room."""
    n_errors, wrong = wrong_with(SAMPLE, tmp_path)

    assert wrong == []
    assert n_errors == N_ERRORS


@pytest.mark.campaign
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_write(situation, tmp_path):
    """A disk, or its table of files, that gets full at one write after the other."""
    step = STEPS.get(situation, 1)
    n_errors, wrong = wrong_with([(situation, "blocks", step), (situation, "inodes", step)], tmp_path)

    assert wrong == []
    assert (n_errors > 1) == (situation not in NEED_NO_ROOM)


def refresh_on_full_disk(folder, storage, n_blocks, item):
    """Where its sentence stood; the next refresh is complete, and nothing was processed twice."""
    done = alone("dagster_home.py", folder, storage, n_blocks, item)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["green"][1], done.stderr
    assert found["published"]
    assert found["materialized"] == N_ITEMS
    assert found["read"] == [N_ITEMS, 1]
    if found["green"][0]:
        return "nowhere"
    sentences = [text for text in (*found["recorded"], done.stderr) if SENTENCE.search(text)]
    assert sentences, done.stderr
    return "printed" if sentences == [done.stderr] else "recorded"


def test_a_refresh_whose_event_log_is_full(tmp_path):
    """Every item is done once; one sentence says what is missing where, and the next refresh reports it."""
    assert refresh_on_full_disk(tmp_path, "batched", 0, 30) != "nowhere"


@pytest.mark.campaign
@pytest.mark.timeout(600)
@pytest.mark.parametrize("storage", ["own", "batched"])
def test_a_refresh_whose_event_log_gets_full(storage, tmp_path):
    """At every few writes, from the first item or from the last."""
    places = set()
    for n_blocks in (3, 12, 30):
        for item in (0, N_ITEMS - 1):
            folder = tmp_path / f"{n_blocks}-{item}"
            folder.mkdir()
            places.add(refresh_on_full_disk(folder, storage, n_blocks, item))
    assert "recorded" in places
