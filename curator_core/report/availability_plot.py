"""The picture of what of a dataset is there: a row for each variable, a column for each period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curator_core.datasets.aligned.slots import Status
from curator_core.report.dataset_plot import as_png
from curator_core.report.figure import styled
from curator_core.report.quantities import shortened

if TYPE_CHECKING:
    from curator_core.datasets.aligned.availability import Availability

MAX_VARIABLES: Final = 40
"""Variables drawn."""
_MARKS: Final = ((Status.FAILED, "x", "#c0392b"), (Status.PROVISIONAL, "o", "#b9770e"))
_MAX_LABELS: Final = 5


def draw_availability(found: Availability) -> bytes:
    """Draw which share of the values is there, as PNG; periods with slots that failed, or will be replaced, are marked.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    with styled():
        from matplotlib.figure import Figure

        n_rows, n_periods = min(len(found.variables), MAX_VARIABLES), len(found.periods)
        figure = Figure(figsize=(9.0, 0.9 + 0.22 * n_rows))
        axes: Any = figure.add_subplot()
        axes.grid(visible=False)
        axes.imshow(found.shares[:n_rows], cmap="Blues", vmin=0.0, vmax=1.25, aspect="auto", interpolation="nearest")
        for status, marker, colour in _MARKS:
            rows, columns = np.nonzero(found.counts[:n_rows, :, status])
            if len(rows):
                axes.scatter(columns, rows, s=12, c=colour, marker=marker, label=status.name.lower())
        axes.set_yticks(range(n_rows), [shortened(name, 24) for name in found.variables[:n_rows]])
        places = range(0, n_periods, -(-n_periods // _MAX_LABELS) or 1)
        axes.set_xticks(list(places), [found.periods[place].removesuffix(":00") for place in places])
        axes.set_xlabel(found.dim)
        axes.set_title(_title(found, n_rows), loc="left")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="lower right", ncols=2, bbox_to_anchor=(1.0, 1.0))
        return as_png(figure)


def _title(found: Availability, n_rows: int) -> str:
    text = f"Share of the values that are there, by {int(found.n_slots.max())} slots: blue all, white none"
    return text if n_rows == len(found.variables) else f"{text} ({n_rows} of {len(found.variables)} variables)"
