"""The figures of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curator_core.printable import printable
from curator_core.report.figure import BAD, FAINT, INK, OK, WIDTH_IN, new_figure, svg
from curator_core.report.quantities import duration, shortened, size, time_unit
from curator_core.report.timeline import Timeline, Times, busy_seconds, grouped
from curator_core.store.metrics import StageTotal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_BINS = 120
"""Bins of a plot over time, at most."""
N_COLUMNS = 460
"""Columns of the timeline of the workers, where single items cannot be drawn."""
MAX_BARS = 1500
"""Items drawn one by one."""
MAX_ROWS = 40
"""Workers with a row of their own."""
MAX_NAME = 28
FAR_APART = 12
"""Ratio of largest to smallest value from which an axis is logarithmic."""

Items = npt.NDArray[Any]


def throughput(items: Items, timeline: Timeline) -> str:
    """Items per unit of time, completed and failed ones stacked."""
    edges = np.linspace(0.0, max(timeline.active_s, 1e-6), _n_bins(len(items)) + 1)
    width_s = edges[1] - edges[0]
    per_s, unit = next(
        (u for u in ((1.0, "s"), (60.0, "min"), (3600.0, "h")) if len(items) * u[0] / edges[-1] >= 1), (3600.0, "h")
    )
    ends = timeline.active(items["end_s"])
    done, failed = (
        np.histogram(ends[items["is_failed"] == is_failed], edges)[0] * per_s / width_s for is_failed in (False, True)
    )
    figure, axes = new_figure(2.5)
    scale, _ = time_unit(edges[-1])
    axes.stairs(done, edges / scale, fill=True, color=OK, label="completed")
    if failed.any():
        axes.stairs(done + failed, edges / scale, baseline=done, fill=True, color=BAD, label="failed")
        axes.legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.16), borderaxespad=0)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"items per {unit}")
    axes.yaxis.set_major_formatter("{x:,g}")
    _time_axis(axes, timeline)
    return svg(figure, "Items per unit of time over the run")


def stage_breakdown(stages: Sequence[StageTotal]) -> str:
    """Total time per stage."""
    figure, axes = new_figure(0.75 + 0.32 * len(stages))
    total_s = sum(stage.total_s for stage in stages) or 1.0
    rows = np.arange(len(stages))
    axes.barh(rows, [100 * stage.total_s / total_s for stage in stages], color=OK, height=0.68)
    for row, stage in enumerate(stages):
        share = 100 * stage.total_s / total_s
        axes.text(share + 0.8, row, f"{share:.1f} % · {duration(stage.mean_s)} per item", va="center")
    axes.set_yticks(rows, [shortened(printable(stage.name), MAX_NAME) for stage in stages])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.25 * 100 * max(stage.total_s for stage in stages) / total_s, 40))
    axes.set_xlabel("share of the working time, %")
    axes.grid(visible=False, axis="y")
    return svg(figure, "Share of each stage in the working time")


def item_times(items: Items) -> str:
    """Distribution of the time per item."""
    walls_s = np.maximum(items["wall_s"], 1e-6)
    unit_s, unit = time_unit(float(walls_s.max()))
    return _distribution(walls_s, items["is_failed"], ("time per item", unit_s, unit), duration)


def memory(items: Items) -> str:
    """Distribution of the peak memory per item."""
    measured = items[np.isfinite(items["peak_bytes"]) & (items["peak_bytes"] > 0)]
    peaks = measured["peak_bytes"]
    return _distribution(peaks, measured["is_failed"], ("peak memory", *_memory_unit(peaks)), size)


def _memory_unit(peaks_bytes: Times) -> tuple[float, str]:
    return (2.0**30, "GiB") if peaks_bytes.max() >= 2 * 2**30 else (2.0**20, "MiB")


def memory_over_time(items: Items, timeline: Timeline) -> str:
    """Median and largest peak memory over the run."""
    measured = items[np.isfinite(items["peak_bytes"])]
    n_bins = _n_bins(len(measured))
    edges = np.linspace(0.0, max(timeline.active_s, 1e-6), n_bins + 1)
    bins = np.clip(np.searchsorted(edges, timeline.active(measured["end_s"]), side="right") - 1, 0, n_bins - 1)
    centres = (edges[1:] + edges[:-1]) / 2
    unit_bytes, unit = _memory_unit(measured["peak_bytes"])
    figure, axes = new_figure(2.5, WIDTH_IN / 2)
    scale, _ = time_unit(edges[-1])
    for quantile, name, style in ((1.0, "largest", "-"), (0.5, "median", ":")):
        values = grouped(measured["peak_bytes"], bins, n_bins, quantile)
        has = np.isfinite(values)
        marker = "o" if has.sum() == 1 else None
        axes.plot(centres[has] / scale, values[has] / unit_bytes, style, color=OK, label=name, lw=1.5, marker=marker)
    axes.set_ylim(0, 1.15 * measured["peak_bytes"].max() / unit_bytes)
    axes.set_ylabel(f"peak memory, {unit}")
    axes.legend(loc="lower right")
    _time_axis(axes, timeline)
    return svg(figure, "Peak memory over the run")


def worker_timeline(items: Items, timeline: Timeline, names: Sequence[str]) -> str:
    """What each worker did when: every item as a bar, or the busy share where there are too many.

    Parameters
    ----------
    items, timeline
        What was done, and when the run was active.
    names
        Names of the workers by their number; rows are in the order of the names.
    """
    rows = sorted(range(len(names)), key=names.__getitem__)[:MAX_ROWS]
    n_rows = len(rows)
    figure, axes = new_figure(0.85 + max(0.16 * n_rows, 0.3))
    if len(items) <= MAX_BARS:
        _draw_bars(axes, items, timeline, rows)
    else:
        _draw_shares(axes, items, timeline, rows)
    axes.set_ylim(n_rows - 0.4, -0.6)
    axes.set_yticks(range(n_rows), [shortened(printable(names[worker]), MAX_NAME) for worker in rows])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.grid(visible=False, axis="y")
    _time_axis(axes, timeline)
    return svg(figure, "When each worker was busy")


def _draw_bars(axes: Axes, items: Items, timeline: Timeline, workers: Sequence[int]) -> None:
    scale, _ = time_unit(timeline.active_s)
    begins, ends = timeline.active(items["end_s"] - items["wall_s"]) / scale, timeline.active(items["end_s"]) / scale
    shortest = timeline.active_s / scale / 2000  # a short item is seen, too
    for row, worker in enumerate(workers):
        for is_failed, colour in ((False, OK), (True, BAD)):
            chosen = (items["worker"] == worker) & (items["is_failed"] == is_failed)
            spans = list(zip(begins[chosen], np.maximum(ends[chosen] - begins[chosen], shortest), strict=True))
            axes.broken_barh(spans, (row - 0.36, 0.72), facecolor=colour, alpha=0.75, linewidth=0)


def _draw_shares(axes: Axes, items: Items, timeline: Timeline, workers: Sequence[int]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    edges = np.linspace(0.0, timeline.active_s, N_COLUMNS + 1)
    begins, ends = timeline.active(items["end_s"] - items["wall_s"]), timeline.active(items["end_s"])
    shares = np.zeros((len(workers), N_COLUMNS))
    for row, worker in enumerate(workers):
        chosen = items["worker"] == worker
        shares[row] = busy_seconds(begins[chosen], ends[chosen], edges) / np.diff(edges)
    # One blue that reads on white and on black; idle is transparent.
    colours = LinearSegmentedColormap.from_list("busy", [(0.23, 0.51, 0.86, 0.04), (0.23, 0.51, 0.86, 1.0)])
    pixels = np.repeat(np.clip(shares, 0, 1), 5, axis=0)
    pixels[::5] = 0.0  # a gap between workers
    scale, _ = time_unit(timeline.active_s)
    extent = (0.0, edges[-1] / scale, len(workers) - 0.5, -0.5)
    image = axes.imshow(pixels, aspect="auto", interpolation="nearest", cmap=colours, vmin=0, vmax=1, extent=extent)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.02, aspect=8, ticks=[0, 1])
    bar.ax.set_yticklabels(["idle", "busy"])
    bar.outline.set_visible(False)


def _distribution(
    values: Times, is_failed: npt.NDArray[np.bool_], axis: tuple[str, float, str], spelled: Callable[[float], str]
) -> str:
    """A histogram with the median, on a logarithmic axis where the values are far apart.

    Parameters
    ----------
    values, is_failed
        (n_items,) what is counted, and in which colour.
    axis
        Label, unit of a linear axis, and its name.
    spelled
        A value in words.
    """
    from matplotlib.ticker import MaxNLocator

    label, unit, unit_name = axis
    figure, axes = new_figure(2.5, WIDTH_IN / 2)
    low, high = float(values.min()), float(values.max())
    n_bins = int(np.clip(2 * np.sqrt(len(values)), 8, 60))
    if high > FAR_APART * low:
        unit, edges = 1.0, np.geomspace(low, high * 1.0001, n_bins + 1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: spelled(value))
        axes.xaxis.set_minor_formatter(lambda *_: "")
        axes.set_xlabel(label)
    else:
        margin = max(0.05 * (high - low), 0.02 * high)
        edges = np.linspace(max(low - margin, 0.0), high + margin, n_bins + 1) / unit
        axes.set_xlabel(f"{label}, {unit_name}")
    done, failed = (np.histogram(values[is_failed == kind] / unit, edges)[0] for kind in (False, True))
    axes.stairs(done, edges, fill=True, color=OK)
    axes.stairs(done + failed, edges, baseline=done, fill=True, color=BAD)
    median = float(np.median(values))
    axes.axvline(median / unit, color=INK, lw=1, ls="--")
    axes.set_title(f"median {spelled(median)}", fontsize=9, loc="right")
    axes.set_ylabel("items")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(bottom=0)
    return svg(figure, f"Distribution of the {label}")


def _n_bins(n_items: int) -> int:
    return int(np.clip(n_items / 10, 8, N_BINS))


def _time_axis(axes: Axes, timeline: Timeline) -> None:
    scale, unit = time_unit(timeline.active_s)
    axes.set_xlim(0, max(timeline.active_s, 1e-6) / scale)
    axes.set_xlabel(f"time since the start, {unit}" + (" (pauses left out)" if len(timeline.seams_s) else ""))
    for seam in timeline.seams_s:
        axes.axvline(seam / scale, color=FAINT, lw=1, ls=(0, (4, 3)))
