"""The benchmarks run; what they measure is for `make bench`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"


@pytest.mark.campaign
def test_a_quick_run_writes_a_page_like_the_one_in_the_documentation(tmp_path):
    """Same sections, same kinds of measures; so that the page in the documentation can be made anew."""
    page = tmp_path / "benchmarks.md"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    headings = [line for line in page.read_text().splitlines() if line.startswith("#")]
    assert headings == [line for line in PAGE.read_text().splitlines() if line.startswith("#")]
    assert page.read_text().count("| ") > 3 * len(headings)
