"""The picture of a dataset: how each variable is distributed, how it runs over the items, what items cost."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curator_core.filters.statistics.field_statistics import FieldStatistics
from curator_core.report.figure import styled
from curator_core.report.quantities import shortened, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_VARIABLES = 6
"""Variables drawn."""
MAX_ITEMS = 2000
"""Items drawn: of more, evenly many are left out."""
MAX_PNG_BYTES = 60_000
"""Size of the picture, which is stored with the event."""

_WIDTH_IN = 9.0
_ROW_IN = 1.35
_MAX_POINTS = 250  # of a line: of more items, neighbours are drawn as one
_INK, _FAINT, _LINE, _BAND, _TIME = "#24292f", "#8b949e", "#1f5fa8", "#bcd3ee", "#3a7d44"


@dataclass
class ItemSeries:
    """Mean and range of one variable in each item."""

    positions: list[float] = field(default_factory=list)
    """Of the items, in the order of the source."""
    means: list[float] = field(default_factory=list)
    """Mean of each."""
    lows: list[float] = field(default_factory=list)
    """Smallest number of each."""
    highs: list[float] = field(default_factory=list)
    """Largest number of each."""

    def append(self, position: float, mean: float, low: float, high: float) -> None:
        """Add an item."""
        for values, value in zip(
            (self.positions, self.means, self.lows, self.highs), (position, mean, low, high), strict=True
        ):
            values.append(value)


def draw_dataset(
    statistics: Sequence[FieldStatistics], series: Mapping[str, ItemSeries], walls_s: Sequence[float], step: int
) -> bytes:
    """Draw a row per variable, and one of the time per item, as PNG.

    Parameters
    ----------
    statistics
        Of every variable.
    series
        Item by item, of the variables of which it is known.
    walls_s
        Wall time of every item, or of every `step`-th, seconds.
    step
        Of the items that are drawn.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    with styled():
        import matplotlib as mpl
        from matplotlib.figure import Figure

        colours = dict.fromkeys(("axes.labelcolor", "axes.titlecolor", "text.color"), _INK)
        colours |= dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor", "axes.edgecolor", "grid.color"), _FAINT)
        layout = {"figure.constrained_layout.use": False}  # takes as long as all the rest
        mpl.rcParams.update(colours | layout | {"font.size": 8, "axes.titlesize": 8})  # type: ignore[arg-type]
        drawn = _most_telling(statistics)
        n_rows = len(drawn) + 1
        figure = Figure(figsize=(_WIDTH_IN, _ROW_IN * n_rows + 0.3))
        rows = figure.subplots(n_rows, 2, width_ratios=(1, 2), squeeze=False)
        for (left, right), variable in zip(rows, drawn, strict=False):
            _draw_distribution(left, variable, series.get(variable.name))
            _draw_items(right, series.get(variable.name))
        height_in = figure.get_figheight()
        figure.subplots_adjust(0.07, 0.45 / height_in, 0.99, 1 - 0.5 / height_in, wspace=0.16, hspace=0.62)
        _draw_times(rows[-1][0], rows[-1][1], walls_s, step)
        figure.suptitle(_title(len(drawn), len(statistics), step), fontsize=8, x=0.01, y=0.995, ha="left")
        return as_png(figure)


def _most_telling(statistics: Sequence[FieldStatistics]) -> list[FieldStatistics]:
    """Those that vary first, in their order."""
    known = [variable for variable in statistics if variable.count]
    return sorted(known, key=lambda variable: not variable.std)[:MAX_VARIABLES]


def _title(n_drawn: int, n_variables: int, step: int) -> str:
    which = f"{n_drawn} of {n_variables} variables" if n_drawn < n_variables else "all variables"
    items = "every item" if step == 1 else f"one item in {step}"
    return f"{which}; {items}: line = mean, band = smallest to largest number"


def _draw_distribution(axes: Axes, variable: FieldStatistics, series: ItemSeries | None) -> None:
    if variable.edges:
        axes.stairs(variable.counts, variable.edges, fill=True, color=_LINE)
        what = "numbers"
    elif series is not None:
        # Means that differ by rounding alone are drawn as equal.
        margin = max((variable.std or 0.0) / 20 - np.ptp(series.means) / 2, 0.0)
        _draw_counts(axes, np.asarray(series.means), margin, _LINE)
        what = "items, by mean"
    else:
        what = ""
    axes.set_title(shortened(variable.name, 40), loc="left")
    axes.set_ylabel(what)


def _draw_counts(axes: Axes, values: npt.NDArray[np.float64], margin: float, colour: str) -> None:
    from matplotlib.ticker import MaxNLocator

    n_bins = int(np.clip(2 * np.sqrt(len(values)), 5, 40))
    ends = (values.min() - margin, values.max() + margin) if len(values) else None
    axes.hist(values, bins=n_bins, range=ends, color=colour)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))


def _draw_items(axes: Axes, series: ItemSeries | None) -> None:
    if series is None:
        axes.set_axis_off()
        return
    n_points = min(len(series.means), _MAX_POINTS)
    positions, means, lows, highs = (
        [reduced(part) for part in np.array_split(np.asarray(values), n_points)]
        for values, reduced in (
            (series.positions, np.mean),
            (series.means, np.mean),
            (series.lows, np.min),
            (series.highs, np.max),
        )
    )
    axes.fill_between(positions, lows, highs, color=_BAND, lw=0)
    axes.plot(positions, means, color=_LINE, lw=1, marker="." if n_points < 60 else None)  # noqa: PLR2004


def _draw_times(left: Axes, right: Axes, walls_s: Sequence[float], step: int) -> None:
    unit_s, unit = time_unit(max(walls_s, default=0.0))
    walls = np.asarray(walls_s) / unit_s
    _draw_counts(left, walls, 0.0, _TIME)
    left.set_title(f"time per item, {unit}", loc="left")
    left.set_ylabel("items")
    right.plot(np.arange(len(walls)) * step, walls, ".", ms=3, color=_TIME)
    right.set_ylim(bottom=0)
    right.set_xlabel("item")


def as_png(figure: Figure) -> bytes:
    """The largest picture that is small enough, in few colours."""
    from PIL import Image  # noqa: PLC0415 - needed by Matplotlib, not by what imports this module

    png = b""
    for dpi in (90, 65, 45):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
        image = Image.open(buffer).convert("RGB").quantize(24)
        small = io.BytesIO()
        image.save(small, format="png", optimize=True)
        png = small.getvalue()
        if len(png) <= MAX_PNG_BYTES:
            break
    return png
