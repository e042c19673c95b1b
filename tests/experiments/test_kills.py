"""Workers and collectors that are killed at random moments end in the complete, correct table."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from curator_core.workflow import ExperimentData, claimed_rows, collect_results, open_rows

WORKER = """
import sys
from curator_core.workflow import ExperimentData, claim_open, write_result
folder = sys.argv[1]
data = ExperimentData.from_file(folder)
while True:
    with claim_open(folder, 3) as rows:
        for row in rows:
            x = data.get_experiment_sample(row).get("x")
            write_result(folder, row, {"y": x / 3, "row": row}) if row % 10 else write_result(folder, row, error="E: x")
"""
COLLECTOR = """
import sys
from curator_core.workflow import collect_results
while True:
    collect_results(sys.argv[1])
"""


@pytest.mark.campaign
def test_twenty_kills_end_in_the_complete_table(tmp_path):
    """Three workers and a collector, killed twenty times between them, lose no row and do none wrongly."""
    n = 900
    ExperimentData(input_data=[{"x": i / 7} for i in range(n)], project_dir=tmp_path).store()
    codes = [WORKER, WORKER, WORKER, COLLECTOR]
    chance = random.Random(5)
    running = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for code in codes]
    try:
        time.sleep(1.0)  # they import first
        for _ in range(20):
            time.sleep(chance.uniform(0.02, 0.3))  # the moment of a kill is what varies here
            at = chance.randrange(4)
            running[at].kill()
            running[at].wait()
            running[at] = subprocess.Popen([sys.executable, "-c", codes[at], tmp_path])
        deadline = time.monotonic() + 60
        while open_rows(tmp_path) or claimed_rows(tmp_path):
            assert time.monotonic() < deadline, f"{len(open_rows(tmp_path))} rows are still open"
            assert all(process.poll() is None for process in running)
            time.sleep(0.1)
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert collect_results(tmp_path).problems == {}
    data = ExperimentData.from_file(tmp_path)
    assert [sample.output_data for _, sample in data] == [
        {"y": i / 7 / 3, "row": i} if i % 10 else {} for i in range(n)
    ]
    assert list(data.failures) == list(range(0, n, 10))
    assert list(data.jobs) == ["finished" if i % 10 else "error" for i in range(n)]
