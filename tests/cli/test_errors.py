"""Errors end in one clear line and a fitting exit status."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

EXECUTABLE = Path(sys.executable).with_name("curator")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "none.yaml"], "File 'none.yaml' does not exist"),
        (["run", "p.yaml", "--backend", "proces_pool"], "Unknown backend 'proces_pool'. Known: process_pool"),
        (["run", "p.yaml", "-j", "0"], "must be a positive number of workers"),
        (["run", "p.yaml", "--indices", "0,5-x"], "'5-x' is neither an index nor a range"),
        (["run", "p.yaml", "--indices", "3-9"], "9 is out of range, the source has 5 items (0 to 4)"),
        (["run", "p.yaml", "--nope"], "No such option '--nope'. See: curator run --help"),
        (["run"], "Missing argument 'PIPELINE'. See: curator run --help"),
        (["rum", "p.yaml"], "Unknown command 'rum'. Known: run, "),
        (["status", "p.yaml"], "p.yaml has not been run yet"),
        (["gather", "merged.yaml"], "merged.yaml has not been run yet"),
        (["status", "broken.yaml"], "Cannot read broken.yaml"),
        (["status", "text.db"], "is damaged or is no SQLite database"),
        (
            ["plan", "negative.yaml"],
            "negative.yaml: source: numbers cannot be built: ValueError: n must not be negative",
        ),
        (["run", "sinkless.yaml"], "sinkless.yaml has no sink"),
        (["components", "nix"], "Unknown component 'nix'. Known: "),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_one_line_and_exit_status_2(curator, write_pipeline, folder, words, expected):
    """What is wrong before any item is processed is one line on stderr, and exit status 2."""
    write_pipeline()
    write_pipeline(name="merged.yaml", merged=True)
    write_pipeline(n=-1, name="negative.yaml")
    (folder / "broken.yaml").write_text("source: {component: x\n  bad: [")
    (folder / "sinkless.yaml").write_text("source: {component: 'cli_parts:Numbers', params: {n: 1}}")
    (folder / "text.db").write_text("no database")
    result = curator(*words)
    assert result.code == 2
    assert result.out == ""
    (line,) = result.err.splitlines()
    assert line.startswith("error: ")
    assert expected in line


def test_executable_prints_one_line(executable):
    """The installed command, too, prints one line without a traceback."""
    result = executable("run", "none.yaml")
    assert result.code == 2
    assert (
        result.err == "error: Invalid value for 'PIPELINE': File 'none.yaml' does not exist. See: curator run --help\n"
    )


@pytest.mark.parametrize("words", [["--traceback", "status", "p.yaml"], ["status", "p.yaml", "--traceback"]])
def test_traceback_on_request(curator, write_pipeline, words):
    """--traceback, before or after the command's name, shows where an error happened."""
    write_pipeline()
    lines = curator(*words).err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("error: p.yaml has not been run yet")


def test_unexpected_error_is_marked_as_such(curator, write_pipeline, folder):
    """An error that nobody foresaw is one line, too, and says how to see more."""
    (folder / "odd.py").write_text("1 / 0")
    (folder / "odd.yaml").write_text("source: odd:Source")
    result = curator("plan", "odd.yaml")
    assert result.code == 2
    assert result.err == "error: unexpected ZeroDivisionError: division by zero (--traceback shows where)\n"


def test_merge_error_exits_1(curator, write_pipeline, folder):
    """Results that cannot be merged are failed items, not wrong usage."""
    path = write_pipeline(merged=True)
    curator("run", path)
    (folder / "out" / "total_shard_000002.txt").unlink()
    result = curator("gather", path)
    assert result.code == 1
    assert "there is no shard of n0002" in result.err


def test_control_characters_are_escaped(curator):
    """A name from outside cannot act on the terminal."""
    assert "\x1b" not in curator("run", "\x1b[31mred.yaml").err


def test_closed_pipe_is_no_traceback(folder):
    """`curator plan … | head` ends quietly."""
    shell = f"{shlex.quote(str(EXECUTABLE))} components --help | true"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.stderr == ""
