"""The benchmarks run; what they measure is for `make bench`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"


@pytest.mark.timeout(900)
@pytest.mark.campaign
def test_a_quick_run_writes_a_page_like_the_one_in_the_documentation(tmp_path):
    """Same sections, same kinds of measures; so that the page in the documentation can be made anew."""
    page = tmp_path / "benchmarks.md"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stderr
    headings = [line for line in page.read_text().splitlines() if line.startswith("#")]
    assert headings == [line for line in PAGE.read_text().splitlines() if line.startswith("#")]
    assert page.read_text().count("| ") > 3 * len(headings)


@pytest.mark.campaign
@pytest.mark.parametrize("what", ["plain_single_run", "plain_run_each"])
def test_assets_without_curator_are_measured(what):
    """What a quick run leaves out, since each needs a process that loads Dagster."""
    command = [sys.executable, "-m", "benchmarks.dagster", what, "3", "default"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0] > 0
