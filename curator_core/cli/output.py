"""How commands print: tables on a terminal, plain aligned text in a pipe, stable JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import click

from curator_core.printable import printable, printable_lines
from curator_core.storage.disk import is_full, output_error


def one_line(text: object) -> str:
    """`text` on one line, characters that a terminal would act on escaped."""
    return printable(" ".join(str(text).split()))


def say(text: object = "", *, err: bool = False) -> None:
    """Print lines, characters that a terminal would act on escaped; what commands say goes through here."""
    with _printing("standard error" if err else "standard output"):
        click.echo(printable_lines(str(text)), err=err)


@contextlib.contextmanager
def _printing(stream: str) -> Iterator[None]:
    """Within, something is printed; what it is redirected to may be on a full disk."""
    try:
        yield
    except OSError as exc:
        if is_full(exc):
            raise output_error(stream, exc) from exc
        raise


class ShownFile:
    """Standard output for what is written as to a file: as it is into a file or a pipe, escaped on a terminal."""

    def write(self, text: str) -> int:
        """Write some text."""
        with _printing("standard output"):
            return sys.stdout.write(printable_lines(text) if sys.stdout.isatty() else text)


def print_json(data: object) -> None:
    """Print `data` as indented JSON, in ASCII so that every terminal and file name survives."""
    say(json.dumps(data, indent=2).replace("\x7f", "\\u007f"))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their column names; the last column may be long."""
    cells = [[one_line(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, cells)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in [columns, *cells]:
        say("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


def _print_rich(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    # Slow to import, and of no use in a pipe.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print labelled values, one a line."""
    shown = list(fields)
    width = max(len(label) for label, _ in shown)
    for label, value in shown:
        with _printing("standard output"):
            click.echo(f"{click.style(label.ljust(width), bold=True)}  {one_line(value)}")


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(n_bytes: int) -> str:
    """Bytes as MiB or GiB."""
    mib = n_bytes / 2**20
    return f"{mib / 1024:.2f} GiB" if mib >= 1024 else f"{mib:.1f} MiB"  # noqa: PLR2004 - MiB in a GiB


def moment_of(stamp: str | None) -> datetime | None:
    """A recorded ISO-8601 time, UTC unless it says otherwise; ``None`` without one, or where it is none."""
    try:
        found = datetime.fromisoformat(stamp) if stamp else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def local_time(stamp: str | None) -> str:
    """A recorded ISO-8601 time in the reader's own time zone; as it stands where it is none."""
    moment = moment_of(stamp)
    if moment is None:
        return one_line(stamp) if stamp else "never"
    try:
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):  # a year that no clock shows
        return one_line(stamp)


def is_attended() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def counted(n: int, noun: str) -> str:
    """``1 item``, ``2 items``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
