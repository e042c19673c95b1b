"""What is said of a full disk."""

import pickle
import resource
import signal
import sqlite3
from pathlib import Path

import pytest

from curator_core.cli import main
from curator_core.errors import CuratorError, OutputError
from curator_core.storage.atomic import publish_text
from curator_core.storage.disk import append_whole, lack_of_room, room_for, writing
from curator_core.storage.private import write_private

FULL = "/dev/full"  # what the kernel has for this: every write ends with ENOSPC


def test_the_file_is_named_where_the_system_does_not(tmp_path):
    """A write to an open file fails without a name; the error has it, and what to do."""
    expected = r"a\.txt cannot be written: the disk is full .*Make room"
    with pytest.raises(OutputError, match=expected) as caught, writing(tmp_path / "a.txt"):
        Path(FULL).write_text("text", encoding="utf-8")

    assert isinstance(caught.value, OSError)
    assert caught.value.reason == "the disk is full (No space left on device)"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.file, again.reason) == (
        str(caught.value),
        str(tmp_path / "a.txt"),
        caught.value.reason,
    )


def test_an_error_of_curator_passes(tmp_path):
    """What says already what is wrong is not said twice."""
    with pytest.raises(CuratorError, match=r"^inner$"), writing(tmp_path):
        raise OutputError("inner")


@pytest.mark.parametrize("write", [lambda p: publish_text("text", p), lambda p: write_private(p, b"text")])
def test_no_folder_to_write_to(write, tmp_path):
    """Another reason than a full disk, and other advice."""
    with pytest.raises(OutputError, match=r"nowhere/a cannot be written: No such file .*another place"):
        write(tmp_path / "nowhere" / "a")


def test_a_database_that_fails_for_another_reason(tmp_path):
    """The disk is asked, and has room; nothing is left of the question."""
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(tmp_path).execute("SELECT 1")

    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN
    assert lack_of_room(caught.value, tmp_path / "a.db") is None
    assert list(tmp_path.iterdir()) == []


def test_standard_output_on_a_full_disk(monkeypatch, capsys):
    """The command says what it could not write, and fails."""
    full = Path(FULL).open("w")  # noqa: SIM115 - closed below
    monkeypatch.setattr("sys.stdout", full)
    status = main(["backends"])
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space"):
        full.close()  # what is in its buffer

    assert status == 2
    assert "standard output cannot be written: the disk is full" in capsys.readouterr().err


def test_a_line_that_is_cut_off_is_taken_back(tmp_path):
    """Where a file may not grow any more, the next line begins where that one should have begun."""
    path = tmp_path / "lines"
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with path.open("ab", buffering=0) as file:
            append_whole(file, b"first\n")
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
            with pytest.raises(OutputError, match=r"lines cannot be written: File too large"):
                append_whole(file, b"second\n")
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            append_whole(file, b"third\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert path.read_bytes() == b"first\nthird\n"


def test_a_component_keeps_its_own_errors(tmp_path):
    """Only a full disk is told by the name of what it writes."""
    with pytest.raises(FileNotFoundError), room_for(tmp_path / "a"):
        (tmp_path / "nowhere").read_bytes()
    with pytest.raises(OutputError, match=r"/a cannot be written: the disk is full"), room_for(tmp_path / "a"):
        Path(FULL).write_bytes(b"text")
