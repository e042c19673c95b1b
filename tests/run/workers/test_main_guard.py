"""Scripts that start workers: with the guard they run, without it they are refused at once."""

import subprocess
import sys

import pytest

SCRIPT = """
from curator_core import run_pipeline
from curator_core.testing.dummies import JsonSink, NumbersSource

pipeline = NumbersSource(4).write(JsonSink({folder!r}))
{guard}run_pipeline(pipeline, n_jobs=2, backend="process_pool", mp_context={method!r}, progress=False)
"""


def run(tmp_path, method, guard):
    script = tmp_path / "curate.py"
    script.write_text(SCRIPT.format(folder=str(tmp_path / "out"), guard=guard, method=method))
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_script_without_the_guard_is_refused_before_any_item(tmp_path, method):
    """One sentence that says what to add; nothing is written."""
    done = run(tmp_path, method, "")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("curator_core.errors.ConfigError: Worker processes")
    assert 'if __name__ == "__main__":' in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("method", "guard"), [("spawn", 'if __name__ == "__main__":\n    '), ("fork", "")])
def test_a_guarded_script_runs_and_fork_needs_no_guard(tmp_path, method, guard):
    """Every item is written."""
    done = run(tmp_path, method, guard)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_package_that_is_run_needs_no_guard(tmp_path, method):
    """Workers do not run its `__main__.py`."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(SCRIPT.format(folder=str(tmp_path / "out"), guard="", method=method))
    command = [sys.executable, "-m", "package"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 4
