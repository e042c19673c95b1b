"""Claims of open rows: each row to one process, and back when the process ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

from curator_core.errors import ConfigError, ExperimentsNotFoundError
from curator_core.workflow import (
    ExperimentData,
    claim_open,
    claimed_rows,
    collect_results,
    open_rows,
    write_result,
)

CLAIMANT = """
import contextlib, json, os, sys, time
from curator_core.workflow import claim_open
folder, n, n_claims = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
rows, start = [], time.time()
with contextlib.ExitStack() as held:
    for _ in range(n_claims):
        got = held.enter_context(claim_open(folder, n))
        rows += got
        if not got:
            break
    print(json.dumps([rows, start, time.time()]), flush=True)
    sys.stdin.readline()
"""


def table(folder, n):
    ExperimentData(input_data=[{"x": i / 7} for i in range(n)], project_dir=folder).store()


@pytest.fixture
def claimants(tmp_path):
    """Function that starts processes which claim, hold what they got, and end with a line on their input."""
    started = []

    def start(count, n, n_claims=10**9):
        new = [
            subprocess.Popen(
                [sys.executable, "-c", CLAIMANT, tmp_path, str(n), str(n_claims)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        started.extend(new)
        for process in new:
            assert process.stdout.readline() == "ready\n"
        for process in new:
            process.stdin.write("\n")
            process.stdin.flush()
        return new, [json.loads(process.stdout.readline()) for process in new]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_four_processes_get_each_row_once(tmp_path, claimants):
    """10,000 rows go to four processes at once, each row exactly once."""
    table(tmp_path, 10_000)
    _, answers = claimants(4, 25)
    counted = Counter(row for rows, _, _ in answers for row in rows)
    assert counted == Counter(range(10_000))
    assert open_rows(tmp_path) == []


def test_rows_of_a_killed_process_are_open_again(tmp_path, claimants):
    """While a process holds rows nobody else gets them; after kill -9 they are open, and claimed anew."""
    table(tmp_path, 10)
    [process], [[rows, _, _]] = claimants(1, 4, 1)
    assert rows == [0, 1, 2, 3]
    assert open_rows(tmp_path) == [4, 5, 6, 7, 8, 9]
    assert {row: who.pid for row, who in claimed_rows(tmp_path).items()} == dict.fromkeys(rows, process.pid)
    with claim_open(tmp_path, 20) as others:
        assert others == (4, 5, 6, 7, 8, 9)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert open_rows(tmp_path) == list(range(10))
    assert claimed_rows(tmp_path) == {}
    with claim_open(tmp_path, 20) as all_rows:
        assert sorted(all_rows) == list(range(10))


def test_a_stopped_process_keeps_its_rows(tmp_path, claimants):
    """A process that merely hangs still holds its rows: only its end gives them back."""
    table(tmp_path, 3)
    [process], [[rows, _, _]] = claimants(1, 2, 1)
    process.send_signal(signal.SIGSTOP)
    with claim_open(tmp_path, 5) as others:
        assert set(others) == {0, 1, 2} - set(rows)


def test_an_error_in_the_block_opens_the_rows(tmp_path):
    """What was not done when a block fails is open again; what has a result is not."""
    table(tmp_path, 4)

    def work():
        with claim_open(tmp_path, 3) as rows:
            write_result(tmp_path, rows[0], {"y": 1})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert open_rows(tmp_path) == [1, 2, 3]
    with claim_open(tmp_path, 9) as left:
        assert left == (1, 2, 3)


def test_rows_are_claimed_among_given_ones(tmp_path):
    """Those of them that are free; what others hold or have a result of is left out."""
    table(tmp_path, 6)
    write_result(tmp_path, 4, {"y": 1})
    with claim_open(tmp_path, 1), claim_open(tmp_path, 9, among={0, 3, 4, 5}) as rows:
        assert rows == (3, 5)
        with claim_open(tmp_path, 9, among={3}) as none:
            assert none == ()


def test_claims_follow_the_table(tmp_path):
    """Only open rows of the present table are claimed, whether rows are added, finished or opened again."""
    table(tmp_path, 3)
    with claim_open(tmp_path) as rows:
        assert rows == (0,)
        write_result(tmp_path, 0, {"y": 1.5})
    collect_results(tmp_path)
    data = ExperimentData.from_file(tmp_path).mark(1, "in_progress")
    data.add_experiments(ExperimentData(input_data=[{"x": 9.0}]), in_place=True).store()
    with claim_open(tmp_path, 9) as rows:
        assert rows == (2, 3)
    ExperimentData.from_file(tmp_path).mark([0, 1], "open").store()
    with claim_open(tmp_path, 9) as rows:
        assert rows == (0, 1, 2, 3)


def test_threads_share_rows_like_processes(tmp_path):
    """Threads of one process never get the same row."""
    table(tmp_path, 200)
    got, all_claimed = [], threading.Barrier(4)

    def work():
        with contextlib.ExitStack() as held:
            for _ in range(10):
                got.extend(held.enter_context(claim_open(tmp_path, 5)))
            all_claimed.wait(timeout=60)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(200))


def test_the_job_of_a_claimant_is_known(tmp_path, monkeypatch):
    """In a SLURM job, a claim says which."""
    table(tmp_path, 1)
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with claim_open(tmp_path):
        [claimant] = claimed_rows(tmp_path).values()
        assert (claimant.job, claimant.pid) == ("4711", os.getpid())


def test_a_table_being_worked_on_is_not_replaced(tmp_path):
    """Another table does not take the place of one with claimed rows or uncollected results."""
    table(tmp_path, 2)
    with claim_open(tmp_path), pytest.raises(RuntimeError, match="1 rows are claimed, 0 have results"):
        table(tmp_path, 5)
    write_result(tmp_path, 1, {"y": 1})
    with pytest.raises(RuntimeError, match="0 rows are claimed, 1 have results"):
        table(tmp_path, 5)
    collect_results(tmp_path)
    table(tmp_path, 5)
    assert open_rows(tmp_path) == [0, 1, 2, 3, 4]


def test_bad_claims(tmp_path):
    """A number of rows below 1 and a folder without a table are refused, and nothing is made there."""
    with pytest.raises(ConfigError, match="n must be 1 or more, not 0"), claim_open(tmp_path, 0):
        pass
    with pytest.raises(ExperimentsNotFoundError, match="has no folder"), claim_open(tmp_path, 1):
        pass
    assert list(tmp_path.iterdir()) == []
