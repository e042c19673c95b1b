"""Help, version, completion and what they cost."""

import json
import subprocess
import sys

import pytest

from curator_core.cli.group import OWN_COMMANDS

HEAVY = ("ase", "asyncio", "dagster", "dask", "lmdb", "numpy", "pandas", "pyarrow", "torch", "xarray", "zarr")


def test_version(executable):
    """--version names the program and its version."""
    result = executable("--version")
    assert (result.code, result.out.split()[0]) == (0, "curator")


def test_no_command_shows_help_and_exits_2(executable):
    """Without a command the help is shown, and the exit status says that nothing was done."""
    result = executable()
    assert result.code == 2
    assert "Usage: curator" in result.err


def test_group_help_explains_exit_status_and_completion(curator):
    """The help of the program says what scripts and shells need to know."""
    out = curator("--help").out
    assert "0 all done, 1 some items failed, 2" in " ".join(out.split())
    assert "_CURATOR_COMPLETE=bash_source curator" in out


@pytest.mark.parametrize("command", OWN_COMMANDS)
def test_every_command_has_help_with_an_example(curator, command):
    """Each command explains itself, with examples, and accepts the common options."""
    result = curator(command, "--help")
    assert result.code == 0
    assert "Example" in result.out
    assert f"  curator {command}" in result.out
    assert "--traceback" in result.out
    assert "--verbose" in result.out


@pytest.mark.parametrize("command", OWN_COMMANDS)
def test_summaries_fit_the_list(curator, command):
    """The one-line summaries are not cut in the list of commands."""
    (line,) = [line for line in curator("--help").out.splitlines() if line.startswith(f"  {command} ")]
    assert line.endswith(".")
    assert not line.endswith("...")


def test_help_imports_nothing_heavy():
    """The help, which loads every command of curator's own, leaves heavy libraries alone."""
    code = (
        "import json, sys\nfrom curator_core.cli import main\nmain(['--help'])\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("curator st", "plain,status"),
        ("curator run --ind", "plain,--indices"),
        ("curator run --backend seq", "plain,sequential"),
    ],
)
def test_completion(executable, line, expected):
    """The shell completes commands, options and names of backends."""
    words = line.split()
    result = executable(_CURATOR_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    assert expected in result.out.splitlines()
