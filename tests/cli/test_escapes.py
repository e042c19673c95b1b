"""What a terminal would act on is escaped in log lines, tracebacks and tables."""

from __future__ import annotations

import io
import logging
import re
import sys
from pathlib import Path

import pytest

from curator_core import Pipeline
from curator_core.cli import main
from curator_core.cli.failure import message_lines
from curator_core.cli.logs import log_to_stderr
from curator_core.cli.output import one_line
from curator_core.printable import printable_lines
from curator_core.testing import FaultySource, FileSource, JsonSink, StatisticsFilter

HOSTILE = "a\x1b]0;title\x07\x9b31m\x7f\u202eb\r"


def is_safe(text):
    return all(c.isprintable() or c == "\n" for c in text)


def test_log_lines(capsys):
    """A log line's message and arguments act on no terminal; its lines stay."""
    with log_to_stderr():
        logging.getLogger("curator").warning("one %s\ntwo", HOSTILE)
    said = capsys.readouterr().err
    assert is_safe(said)
    assert said.endswith("\ntwo\n")


def test_errors_and_tracebacks():
    """Neither the line of an error nor its traceback carries an escape sequence."""
    for text in message_lines(ValueError(HOSTILE), show_traceback=True):
        assert is_safe(text)


def test_texts():
    """C0, C1, DEL and bidirectional overrides are shown as Python writes them."""
    assert is_safe(one_line(HOSTILE))
    assert is_safe(printable_lines(f"{HOSTILE}\n\t{HOSTILE}"))


class Screen(io.StringIO):
    """What a terminal would get."""

    def isatty(self):
        return True


@pytest.fixture
def pipeline_file(tmp_path, monkeypatch):
    """A pipeline of two files with hostile names in a folder with one; the second file fails, and says so."""
    folder = tmp_path / HOSTILE
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "400")
    Path("in").mkdir()
    for name in "ab":
        Path(f"in/{name}{HOSTILE}.txt").write_text("1")
    source = FaultySource(FileSource("in"), "log", {f"b{HOSTILE}.txt": ["fail"] * 9})
    path = f"p{HOSTILE}.yaml"
    steps = [StatisticsFilter(f"s{HOSTILE}.json")]
    Pipeline(source, steps, JsonSink(f"out{HOSTILE}"), db_file=f"m{HOSTILE}.db", resume=True).save(path)
    return path


def shown(monkeypatch, *words):
    """Everything that a command shows on a terminal, but for what curator sets in bold."""
    screen = Screen()
    with monkeypatch.context() as at:
        at.setattr(sys, "stdout", screen)
        at.setattr(sys, "stderr", screen)
        main(words)
    return re.sub(r"\x1b\[[01]m", "", screen.getvalue())


def test_every_command(pipeline_file, monkeypatch):
    """No command hands a terminal what names of files, keys and errors would have it do."""
    steps = (
        ("plan", pipeline_file),
        ("run", pipeline_file, "-q"),
        ("run", pipeline_file, "--verbose", "--traceback"),
        ("plan", pipeline_file, "--json"),
        ("status", pipeline_file),
        ("status", pipeline_file, "--traceback"),
        ("status", pipeline_file, "--json"),
        ("retry", pipeline_file),
        ("gather", pipeline_file),
        ("export", pipeline_file, "--csv"),
        ("export", pipeline_file, "--json"),
        ("report", pipeline_file, "-o", f"r{HOSTILE}.html"),
        ("cache", "list", "--dir", "."),
        ("status", f"none{HOSTILE}"),
        ("run", HOSTILE),
        (HOSTILE,),
        ("components", HOSTILE),
        ("workflow", "status", HOSTILE),
    )
    for words in steps:
        said = shown(monkeypatch, *words)
        assert is_safe(said), (words[0], [c for c in said if not c.isprintable() and c != "\n"], said)
        assert said, words
    html = Path(f"r{HOSTILE}.html").read_text()
    assert is_safe(html.replace("\t", " "))


def test_a_file_keeps_what_is_recorded(pipeline_file, capsys):
    """In a pipe an export has keys as they are."""
    main(["run", pipeline_file, "-q"])
    capsys.readouterr()
    main(["export", pipeline_file, "--csv"])
    assert f"a{HOSTILE}.txt" in capsys.readouterr().out
