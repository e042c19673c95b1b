"""Progress as a bar in a notebook."""

from __future__ import annotations

import functools
import sys
from importlib import import_module
from typing import Any

from curator_core.run.progress import wording
from curator_core.run.progress.loglines import logger
from curator_core.run.progress.snapshot import Snapshot


class NotebookBar:
    """A bar with counts, rate and time left below the cell."""

    interval_s = 0.25

    def __init__(self, bar: Any) -> None:  # noqa: ANN401 - tqdm has no types
        self._bar = bar

    @classmethod
    def open(cls, total: int) -> NotebookBar | None:
        """A bar, if this process is a notebook's kernel and tqdm and ipywidgets are there."""
        if not _is_kernel():
            return None
        try:
            import_module("ipywidgets")  # tqdm would only say so when it draws
            from tqdm.notebook import tqdm_notebook
        except ImportError as exc:
            _hint(exc.name or "tqdm and ipywidgets")
            return None
        kind = type("_Bar", (tqdm_notebook,), {"monitor_interval": 0})  # no second thread that redraws
        layout = "{percentage:3.0f}% {bar} {n_fmt} of {total_fmt}{postfix}"  # tqdm's own time left is the mean's
        return cls(kind(total=total, bar_format=layout, dynamic_ncols=True))

    def draw(self, now: Snapshot) -> None:
        """Redraw."""
        self._show(now, wording.rate(now.forecast.rate))

    def close(self, end: Snapshot) -> None:
        """Leave the bar with the totals, red when something is missing or failed."""
        self._show(end, wording.rate(end.completed / max(end.elapsed_s, 1e-9)))
        self._bar.close()
        if end.failed:
            self._bar.disp(bar_style="danger", check_delay=False)

    def _show(self, now: Snapshot, rate: str) -> None:
        failures = f"{now.failed:,} failed" if now.failed else ""
        notes = (failures, wording.time_left(now.forecast), wording.stall(now.forecast))
        self._bar.n = now.completed
        self._bar.set_postfix_str(", ".join(filter(None, (rate, wording.span(now.elapsed_s), *notes))), refresh=False)
        self._bar.refresh()


def _is_kernel() -> bool:
    ipython = sys.modules.get("IPython")  # a kernel has loaded it
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


@functools.cache
def _hint(package: str) -> None:
    logger.warning(
        "a progress bar in the notebook needs %s: pip install 'curator-dagster[notebook]'. "
        "Meanwhile the logger 'curator.progress' tells at level INFO.",
        package,
    )
