"""`curator run`."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXECUTABLE = Path(sys.executable).with_name("curator")


def test_success_exits_0_and_says_how_many(executable, write_pipeline):
    """A run in which all goes well exits 0 and sums up on stdout."""
    result = executable("run", write_pipeline())
    assert result.code == 0
    assert result.out.startswith("5 items: 5 done, 0 failed. Took ")


def test_failure_exits_1_and_lists_key_and_error(executable, write_pipeline):
    """A failed item is listed by key with its error on one line, and the exit status is 1."""
    result = executable("run", write_pipeline(fail=[3]))
    assert result.code == 1
    assert "  n0003: ValueError: number 3 is bad\n" in result.err


def test_all_other_items_are_processed(curator, write_pipeline, folder):
    """One bad item does not stop those after it."""
    result = curator("run", write_pipeline(fail=[0]))
    assert "5 items: 4 done, 1 failed" in result.out
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["1.txt", "2.txt", "3.txt", "4.txt"]


def test_at_most_ten_failures_are_listed(curator, write_pipeline):
    """Of many failures ten are listed, the rest are counted."""
    result = curator("run", write_pipeline(n=12, fail=list(range(12))))
    assert result.err.count("is bad") == 10
    assert "  and 2 more\n" in result.err


def test_resume_skips_what_is_complete(curator, write_pipeline):
    """With --resume what is complete is skipped, and counted as such."""
    path = write_pipeline(fail=[3])
    curator("run", path, "--resume")
    Path("mended").touch()
    result = curator("run", path, "--resume")
    assert result.out.startswith("5 items: 1 done, 0 failed, 4 skipped (up to date). Took ")


def test_nothing_to_do_is_said(curator, write_pipeline):
    """A run with nothing to do says so."""
    path = write_pipeline()
    curator("run", path, "--resume")
    assert curator("run", path, "--resume").out.startswith("Nothing to do: 5 items up to date.\n")


def test_empty_source_is_said(curator, write_pipeline):
    """A source without items is no error."""
    result = curator("run", write_pipeline(n=0))
    assert (result.code, result.out.splitlines()[0]) == (0, "Nothing to do: the source lists no items.")


def test_suggested_command_retries_only_what_failed(curator, write_pipeline):
    """The command line offered after failures goes on from that very run."""
    failed = curator("run", write_pipeline(fail=[3]))
    Path("mended").touch()
    (line,) = [line for line in failed.err.splitlines() if line.startswith("try again:")]
    words = shlex.split(line.removeprefix("try again:"))
    assert words[0] == "curator"
    assert "1 done, 0 failed, 4 skipped" in curator(*words[1:]).out


def test_indices_select_items(curator, write_pipeline, folder):
    """--indices processes those items alone, both ends of a range included."""
    assert curator("run", write_pipeline(n=9), "--indices", "0,5-7").out.startswith("4 items: 4 done")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["0.txt", "5.txt", "6.txt", "7.txt"]


def test_several_workers(curator, write_pipeline):
    """-j spreads the items over processes."""
    assert curator("run", write_pipeline(n=9), "-j", "2").out.startswith("9 items: 9 done, 0 failed")


def test_quiet_prints_nothing_on_success(curator, write_pipeline):
    """--quiet leaves nothing to read when all goes well."""
    result = curator("run", write_pipeline(), "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_quiet_still_lists_failures(curator, write_pipeline):
    """--quiet does not hide what failed."""
    result = curator("run", write_pipeline(fail=[1]), "--quiet")
    assert result.out == ""
    assert "n0001: ValueError" in result.err


def test_piped_progress_is_a_plain_log_line(executable, write_pipeline):
    """Without a terminal, progress is a line with the time of day, without control characters."""
    result = executable("run", write_pipeline())
    assert "5 of 5 items" in result.err
    assert "\x1b" not in result.out + result.err


def test_verbose_says_which_backend_was_picked(curator, write_pipeline):
    """-v shows what is decided on the way."""
    assert "backend 'auto' picked 'sequential'" in curator("run", write_pipeline(), "-v").err


def test_database_is_named(curator, write_pipeline, folder):
    """The summary says where results are recorded."""
    result = curator("run", write_pipeline(), "--db", "mine.db")
    assert "recorded in mine.db\n" in result.out
    assert (folder / "mine.db").exists()


def test_outputs_to_merge_are_mentioned(curator, write_pipeline):
    """A pipeline with shards is told how to merge them."""
    assert "curator gather p.yaml" in curator("run", write_pipeline(merged=True)).out


def test_nothing_is_recorded_without_tracking(curator, write_pipeline, folder):
    """A pipeline that tracks nothing runs, and no database is named."""
    result = curator("run", write_pipeline(settings={"track_metrics": False}))
    assert result.code == 0
    assert "recorded in" not in result.out


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_says_how_to_go_on(write_pipeline, folder, stop):
    """Ctrl-C and SIGTERM end with one line whose command goes on where the run stopped, and exit status 130."""
    path = write_pipeline(n=400, pause=0.05)
    process = subprocess.Popen([EXECUTABLE, "run", path, "-q"], stderr=subprocess.PIPE, text=True)
    while len(list(folder.glob("out/*.txt"))) < 5:
        time.sleep(0.01)
    process.send_signal(stop)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    (line,) = err.splitlines()
    assert line.startswith("Interrupted: ")
    assert "items are recorded; continue with: curator run p.yaml --resume --db " in line
    n_recorded = int(line.split()[1])
    words = shlex.split(line.partition("continue with: ")[2])
    plan = subprocess.run(
        [EXECUTABLE, "plan", path, *words[-2:]], capture_output=True, text=True, check=True, env=os.environ
    )
    assert plan.stdout.startswith(f"{400 - n_recorded} of 400 items")
