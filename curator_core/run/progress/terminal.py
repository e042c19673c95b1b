"""Progress as a live display on a terminal."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from curator_core.printable import printable
from curator_core.run.progress import wording
from curator_core.run.progress.snapshot import Snapshot, WorkerLine

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

MAX_WORKER_LINES = 16
"""Workers that get a line, at most."""
_OTHER_LINES = 6
_UUID = re.compile(r"[0-9a-f]{32}")

_one_at_a_time = threading.Lock()


class Terminal:
    """Bar, counts, rate and time left; a line per worker; redrawn on the spot on stderr."""

    interval_s = 0.125

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only on a terminal
        from rich.live import Live  # noqa: PLC0415

        self._console = Console(stderr=True, highlight=False)
        # No refresh thread of rich's: none may exist before worker processes are forked. What others print
        # appears above the display, unless it goes to a file or a pipe.
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=sys.stdout.isatty(), vertical_overflow="crop"
        )
        self._live.start()

    @classmethod
    def open(cls) -> Terminal | None:
        """A display, unless stderr is no terminal, or one that cannot move the cursor, or has a display already."""
        if sys.stderr is None or not sys.stderr.isatty():
            return None
        from rich.console import Console  # noqa: PLC0415

        if Console(stderr=True).is_dumb_terminal or not _one_at_a_time.acquire(blocking=False):
            return None
        try:
            return cls()
        except BaseException:
            _one_at_a_time.release()
            raise

    def draw(self, now: Snapshot) -> None:
        """Redraw."""
        self._live.update(self._layout(now, list(_worker_lines(now, self._n_lines()))), refresh=True)

    def close(self, end: Snapshot) -> None:
        """Leave bar and totals on the screen, and the cursor visible."""
        try:
            self._live.update(self._layout(end, []), refresh=False)
        finally:
            self._live.stop()
            _one_at_a_time.release()

    def _n_lines(self) -> int:
        return max(1, min(MAX_WORKER_LINES, self._console.height - _OTHER_LINES))

    def _layout(self, now: Snapshot, workers: list[tuple[Text, ...]]) -> RenderableType:
        from rich.console import Group  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        bar = Table.grid(expand=True, padding=(0, 1, 0, 0))
        bar.add_column(no_wrap=True)
        bar.add_column(ratio=1)
        share = f"{100 * now.completed // now.total:3d}%"  # never 100% too early
        bar.add_row(Text(share, "bold"), ProgressBar(total=now.total, completed=now.completed, finished_style="green"))
        table = Table.grid(expand=True, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, max_width=16, style="dim")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        table.add_column(no_wrap=True, justify="right")
        for cells in workers:
            table.add_row(*cells)
        return Group(bar, _totals(now), table) if workers else Group(bar, _totals(now))


def _totals(now: Snapshot) -> Text:
    from rich.text import Text  # noqa: PLC0415

    is_done = now.completed >= now.total
    rate = now.completed / max(now.elapsed_s, 1e-9) if is_done else now.forecast.rate
    parts = [
        Text(f"{now.completed:,} of {now.total:,} items"),
        Text(f"{now.failed:,} failed" if now.failed else "", "bold red"),
        Text(wording.rate(rate)),
        Text(wording.span(now.elapsed_s)),
        Text(wording.time_left(now.forecast), "cyan"),
        Text(wording.stall(now.forecast), "yellow"),
    ]
    return Text(" · ", "dim").join(part for part in parts if part)


def _worker_lines(now: Snapshot, n_lines: int) -> Iterator[tuple[Text, ...]]:
    from rich.text import Text  # noqa: PLC0415

    shown = now.workers
    if len(shown) > n_lines:  # not all fit: those that have been longest on their item
        shown = tuple(sorted(shown, key=lambda line: -line.age_s)[: max(1, n_lines - 1)])
    for line in shown:
        yield _cells(line)
    if len(shown) < len(now.workers):
        yield (Text(f"and {len(now.workers) - len(shown):,} more"),)


def _cells(line: WorkerLine) -> tuple[Text, ...]:
    from rich.text import Text  # noqa: PLC0415

    name = line.worker[:8] if _UUID.fullmatch(line.worker) else printable(line.worker)
    if line.index is None:
        return Text(name), Text("idle", "dim"), Text(""), Text("")
    key = printable(line.key) if line.key is not None else ""
    return Text(name), Text(f"index {line.index}"), Text(key), Text(wording.span(line.age_s))
