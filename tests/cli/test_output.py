"""How values are shown."""

import pytest

from curator_core.cli.output import counted, duration, one_line, size


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.00042, "0.42 ms"), (0.25, "250 ms"), (12.34, "12.3 s"), (61, "1 min 01 s"), (7325, "2 h 02 min")],
)
def test_duration(seconds, expected):
    """Durations have a unit that fits them."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(("n_bytes", "expected"), [(2**20, "1.0 MiB"), (3 * 2**30, "3.00 GiB")])
def test_size(n_bytes, expected):
    """Sizes are in MiB or GiB."""
    assert size(n_bytes) == expected


def test_singular_and_plural():
    """One item is not one items."""
    assert (counted(1, "item"), counted(1200, "item")) == ("1 item", "1,200 items")


def test_one_line_has_no_line_breaks_and_no_escapes():
    """Line breaks become spaces; what a terminal would act on is escaped."""
    assert one_line("a\n  b\x1b[31m\udcff") == "a b\\x1b[31m\\udcff"


def test_tables_on_a_terminal_survive_markup(monkeypatch, capsys):
    """Square brackets in names are text, not markup."""
    import sys

    from curator_core.cli.output import print_table

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(("key",), [("[red]x[/red]",)])
    assert "[red]x[/red]" in capsys.readouterr().out
