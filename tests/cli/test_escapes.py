"""What a terminal would act on is escaped in log lines, tracebacks and tables."""

from __future__ import annotations

import logging

from curator_core.cli.failure import message_lines
from curator_core.cli.logs import log_to_stderr
from curator_core.cli.output import escaped_lines, one_line

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
    assert is_safe(escaped_lines(f"{HOSTILE}\n\t{HOSTILE}"))
