"""`curator workflow` with a real SLURM."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from curator_core.workflow import ExperimentData

pytest.importorskip("pandas")
pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

EXECUTABLE = Path(sys.executable).with_name("curator")
PARTS = Path(__file__).parents[1] / "cli" / "parts"
STUDY = """
name: study
steps:
  - {{block: {{_target_: study_parts.Design, n: 6}}, resources: &small {{time: "00:05:00", mem: 100M}}}}
  - {{block: study_parts.Square, parallel: true, kwargs: {kwargs}, resources: *small}}
  - {{function: study_parts.fails_until_mended, resources: *small}}
  - {{function: study_parts.note, resources: *small}}
orchestrator_resources: *small
cluster: {{account: "", runner: {runner}, env_vars: {{OMP_NUM_THREADS: 1}}}}
"""


@pytest.fixture
def curator(slurm, tmp_path, monkeypatch):
    """Run a command line beside `study.yaml`; `study_parts` is found there by its jobs, too."""
    monkeypatch.chdir(tmp_path)
    Path("study_parts.py").write_text((PARTS / "study_parts.py").read_text())
    Path("study.yaml").write_text(STUDY.format(kwargs="{bad: 3}", runner=json.dumps(slurm.runner)))

    def run(*words):
        command = [EXECUTABLE, "workflow", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, env=os.environ)

    return run


def without_paths(script):
    """Its lines but those with import paths, whose order in a job is another."""
    return [line for line in Path(script).read_text().splitlines() if "PYTHONPATH" not in line]


@pytest.mark.campaign
def test_a_workflow_file_on_a_cluster(curator):
    """It waits, tells the failed step, goes on there, counts failed experiments; its scripts are those submitted."""
    failed = curator("run", "study.yaml", "--mode", "slurm", "--job", "a", "--wait")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "error: step 'fails_until_mended' failed: " in failed.stderr
    assert "not yet" in failed.stderr
    assert "go on with: curator workflow run study.yaml --job a --mode slurm --wait" in failed.stderr
    status = json.loads(curator("status", "a", "--json").stdout)
    assert [step["state"] for step in status["steps"]] == ["done", "done", "failed", "to come"]
    Path("mended").touch()
    done = curator("run", "study.yaml", "--mode", "slurm", "--job", "a", "--wait")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "a, row 3: ValueError: no square of 3" in done.stderr
    assert ExperimentData.from_file("a").jobs.tolist() == ["finished"] * 3 + ["error"] + ["finished"] * 2
    assert Path("a", "notes.jsonl").read_text().count("noted") == 1
    scripts = curator("scripts", "study.yaml", "--job", "a", "--out", "scripts").stdout.split()
    assert sorted(Path(path).stem for path in scripts) == [
        "Design",
        "Square",
        "fails_until_mended",
        "note",
        "orchestrator",
    ]
    shown, submitted = (without_paths(path) for path in ("scripts/orchestrator.sh", "a/slurm/orchestrator.sh"))
    assert shown == submitted


def test_status_while_it_waits_for_the_cluster_and_after_a_cancel(curator):
    """It says by which jobs it goes on, then that it was stopped."""
    begun = curator("run", "study.yaml", "--mode", "slurm", "--job", "a")
    assert begun.returncode == 0, begun.stderr
    assert "curator workflow status a" in begun.stdout
    status = json.loads(curator("status", "a", "--json").stdout)
    assert status["state"] == "running"
    assert re.search(r"SLURM jobs +orchestrator: \d+", curator("status", "a").stdout)
    while json.loads(curator("status", "a", "--json").stdout)["state"] == "running":
        subprocess.run(["scancel", "--me"], check=True)  # a job that is just at it may have submitted another one
    # It failed where the last one still saw that its step was cancelled.
    assert json.loads(curator("status", "a", "--json").stdout)["state"] in ("stopped", "failed")
