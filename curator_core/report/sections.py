"""The sections of a report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from curator_core.report import plots
from curator_core.report.html import Html, joined, tag
from curator_core.report.html import table as html_table
from curator_core.report.quantities import duration, rate, shortened, size
from curator_core.report.run_data import MAX_FAILURES, MAX_KINDS, MAX_WARNINGS, RunData
from curator_core.report.timeline import Timeline
from curator_core.store import JobUsage

MAX_OPEN = 12
"""Failed items that are seen at once; the others can be unfolded."""
MAX_KEY = 200
MAX_ERROR = 400
MAX_TRACEBACK = 12_000
MAX_CONFIG = 60_000
MAX_WORKERS = 40
MIN_FOR_DISTRIBUTION = 2


def heading(data: RunData) -> tuple[str, Html]:
    """The page's title, and what ran with how it stands."""
    components = data.run.components
    if components is None:
        components = ["a run whose recorded configuration is damaged"]
    names = " → ".join(shortened(name, 60) for name in components)
    title = tag("h1", names, *(joined([" ", tag("span", word, class_=f"state {kind}")]) for word, kind in _state(data)))
    return f"curator: {names}", joined([title, tag("p", f"started {_time(data.run.started_at)}", class_="dim")])


def _state(data: RunData) -> Iterator[tuple[str, str]]:
    """How the run stands, in words with their colours."""
    if data.is_going_on:
        yield "running", "warn"
    elif not data.n_total:
        yield "no items", "warn"
    elif data.n_remaining:
        yield "not complete", "warn"
    elif not data.n_failed:
        yield "complete", "good"
    if data.n_failed:
        yield f"{data.n_failed:,} failed", "bad"


def facts(data: RunData, db_path: Path, n_waiting: int) -> Html:
    """Numbers at a glance, and where, when and how it ran."""
    walls = data.items["wall_s"]
    active_s = Timeline.of(_dated(data)).active_s if len(_dated(data)) else 0.0
    peaks = data.items["peak_bytes"][np.isfinite(data.items["peak_bytes"])]
    cards = [
        (f"{data.n_total:,}", "items"),
        (f"{data.n_completed:,}", "completed"),
        (tag("span", f"{data.n_failed:,}", class_="bad") if data.n_failed else "0", "failed"),
        (f"{data.n_remaining:,}", "remaining"),
        (duration(active_s) if active_s else "–", "running time"),
        (rate(len(data.items) / active_s) if active_s else "–", "items, mean"),
        (duration(float(walls.mean())) if len(walls) else "–", "per item, mean"),
        (size(float(peaks.max())) if len(peaks) else "–", "largest peak memory"),
    ]
    shares = [(data.n_completed, "ok"), (data.n_failed, "fail")]
    bar = [tag("i", class_=kind, style=f"width: {100 * n / max(data.n_total, 1):.2f}%") for n, kind in shares]
    return joined(
        [
            tag(
                "div",
                *(tag("div", tag("b", value), tag("span", label), class_="card") for value, label in cards),
                class_="cards",
            ),
            tag("div", *bar, class_="bar"),
            tag(
                "dl", *(joined([tag("dt", name), tag("dd", value)]) for name, value in _rows(data, db_path, n_waiting))
            ),
            tag("details", tag("summary", "Configuration"), tag("pre", _config(data.run.config_json))),
        ]
    )


def _rows(data: RunData, db_path: Path, n_waiting: int) -> Iterator[tuple[str, str]]:
    hosts = sorted({worker.host for worker in data.workers if worker.host})
    shown = ", ".join(hosts[:8]) + (f" and {len(hosts) - 8} more" if len(hosts) > 8 else "")  # noqa: PLR2004
    items = data.items
    if len(items):
        n_workers = len(data.workers)
        yield "last result", _posix_time(float(np.nanmax(items["end_s"]))) if data.n_undated < len(items) else "unknown"
        yield "workers", f"{n_workers:,} on {shown}" if hosts else f"{n_workers:,}"
        yield "work", f"{duration(float(items['wall_s'].sum()))}, summed over the workers"
    if data.jobs is not None:
        yield "cluster jobs", _jobs_text(data.jobs)
    if data.run.run_dir:
        yield "started in", data.run.run_dir
    yield "database", f"{db_path.absolute()}, run {data.run.run_id}"
    yield "configuration", data.run.config_hash[:16]
    if n_waiting:
        yield "not counted", f"{n_waiting:,} results in journals, of a run in progress or stopped"
    if data.n_vanished:
        yield "vanished", f"{data.n_vanished:,} recorded items that the source no longer lists"


def _jobs_text(jobs: JobUsage) -> str:
    used = f"CPU time {duration(jobs.cpu_s)}"
    if jobs.efficiency is not None:
        used += f" of {duration(jobs.allotted_s)} ({jobs.efficiency:.0%})"
    memory = f", peak memory {size(jobs.peak_memory_bytes)}" if jobs.peak_memory_bytes is not None else ""
    return f"{jobs.n_jobs:,}, {used}{memory}"


def _config(text: str) -> str:
    with contextlib.suppress(RecursionError, ValueError):  # damaged: shown as it stands
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return shortened(text, MAX_CONFIG)


def figures(data: RunData) -> Iterator[Html]:
    """Everything that is best seen."""
    if not len(data.items):
        yield tag("p", "Nothing has been processed yet.", class_="note")
        return
    items, dated = data.items, _dated(data)
    if len(dated) >= MIN_FOR_DISTRIBUTION:
        timeline = Timeline.of(dated)
        pauses = timeline.pauses_s
        note = (
            f"Dashed: a pause. {duration(float(pauses.sum()))} of pauses in all are left out." if len(pauses) else None
        )
        yield _figure("Throughput over time", plots.throughput(dated, timeline), note=note)
        names = [f"{worker.host} {worker.worker_id[:8]}".strip() for worker in data.workers]
        hidden = len(names) - plots.MAX_ROWS
        more = f"{hidden:,} more workers are not drawn." if hidden > 0 else None
        yield _figure("Workers over time", plots.worker_timeline(dated, timeline, names), note=more)
    if sum(stage.total_s for stage in data.stages) > 0:
        yield _figure("Where the time goes", plots.stage_breakdown(data.stages))
    if len(items) >= MIN_FOR_DISTRIBUTION:
        yield tag("h2", "Time per item")
        yield tag("div", tag("figure", Html(plots.item_times(items))), _quantiles(data), class_="pair")
    if np.count_nonzero(dated["peak_bytes"] > 0) >= MIN_FOR_DISTRIBUTION:
        shown = [plots.memory(items), plots.memory_over_time(dated, timeline)]
        yield tag("h2", "Memory")
        yield tag("div", *(tag("figure", Html(svg)) for svg in shown), class_="pair")
        yield tag("p", "Peak of the worker process while each item ran.", class_="note")


def _figure(title: str, svg: str, *, note: str | None = None) -> Html:
    return joined([tag("h2", title), tag("figure", Html(svg)), tag("p", note, class_="note") if note else ""])


def _quantiles(data: RunData) -> Html:
    walls = data.items["wall_s"]
    shares = ((0, "fastest"), (0.5, "median"), (0.9, "90 % take at most"), (0.99, "99 % take at most"), (1, "slowest"))
    rows = [(name, duration(float(np.quantile(walls, share)))) for share, name in shares]
    slow = np.sort(walls)[::-1][: max(1, len(walls) // 100)].sum() / max(float(walls.sum()), 1e-12)
    rows.append(("time in the slowest 1 %" if len(walls) >= 100 else "time in the slowest item", f"{100 * slow:.0f} %"))  # noqa: PLR2004
    return html_table((("share of the items", ""), ("time", "n")), rows)


def failures(data: RunData) -> Html:
    """What failed, by kind and item by item."""
    if not data.n_failed:
        return Html("")
    kinds = html_table(
        (("error", ""), ("items", "n")), [(shortened(kind, MAX_KEY), f"{n:,}") for kind, n in data.error_kinds]
    )
    details = [
        tag(
            "details",
            tag(
                "summary",
                tag("code", shortened(item.key, MAX_KEY)),
                f" (index {item.index:,}) ",
                shortened(item.error, MAX_ERROR),
            ),
            tag("pre", shortened(item.traceback or item.error, MAX_TRACEBACK)),
            class_="failure",
        )
        for item in data.failures
    ]
    notes = []
    if len(data.error_kinds) == MAX_KINDS:
        notes.append(f"The {MAX_KINDS} most frequent kinds are listed.")
    if data.n_failed > MAX_FAILURES:
        notes.append(f"The first {MAX_FAILURES} of {data.n_failed:,} failed items are shown.")
    first, rest = details[:MAX_OPEN], details[MAX_OPEN:]
    more = tag("details", tag("summary", f"{len(rest)} more"), *rest, class_="failure") if rest else ""
    return joined([tag("h2", "Failed items"), kinds, tag("p", " ".join(notes), class_="note"), *first, more])


def warnings(data: RunData) -> Html:
    """What items warned of, such as cells or values that they leave out."""
    if not data.warnings:
        return Html("")
    rows = [
        (shortened(each.message, MAX_ERROR), f"{each.n_items:,}", ", ".join(shortened(key, 60) for key in each.keys))
        for each in data.warnings
    ]
    shown = html_table((("warning", ""), ("items", "n"), ("the first of them", "key")), rows)
    is_cut = len(rows) == MAX_WARNINGS
    note = tag("p", f"The {MAX_WARNINGS} of the most items are listed.", class_="note") if is_cut else ""
    return joined([tag("h2", "Warnings"), shown, note])


def slowest(data: RunData) -> Html:
    """The items that took longest."""
    if not data.slowest:
        return Html("")
    columns = (("index", "n"), ("key", "key"), ("time", "n"), ("mostly in", ""), ("peak memory", "n"), ("", ""))
    rows = [
        (
            f"{item.index:,}",
            shortened(item.key, MAX_KEY),
            duration(item.wall_s),
            f"{shortened(item.stage, 60)} ({100 * item.stage_share:.0f} %)" if item.stage else "",
            "" if item.peak_bytes is None else size(item.peak_bytes),
            tag("span", "failed", class_="bad") if item.is_failed else "",
        )
        for item in data.slowest
    ]
    return joined([tag("h2", "Slowest items"), html_table(columns, rows)])


def workers(data: RunData) -> Html:
    """The workers, those with the most items first."""
    if not data.workers:
        return Html("")
    n_items = np.bincount(data.items["worker"], minlength=len(data.workers))
    busy_s = np.bincount(data.items["worker"], data.items["wall_s"], minlength=len(data.workers))
    n_failed = np.bincount(data.items["worker"][data.items["is_failed"]], minlength=len(data.workers))
    order = np.argsort(-n_items, kind="stable")[:MAX_WORKERS]
    rows = [
        (
            data.workers[k].worker_id[:8],
            data.workers[k].host,
            data.workers[k].pid or "",
            f"{n_items[k]:,}",
            f"{n_failed[k]:,}",
            duration(float(busy_s[k])),
            _time(data.workers[k].last_heartbeat) if data.workers[k].last_heartbeat else "",
        )
        for k in order
    ]
    columns = (("worker", "key"), ("host", ""), ("process", "n"), ("items", "n"), ("failed", "n"), ("busy", "n"))
    hidden = len(data.workers) - len(rows)
    note = tag("p", f"and {hidden:,} more", class_="note") if hidden else ""
    return joined([tag("h2", "Workers"), html_table((*columns, ("last heard of", "n")), rows), note])


def footer(now: datetime) -> Html:
    """When the page was made, and with what."""
    made = now.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return tag("footer", f"Made {made} by curator {version('curator-dagster')}.")


def _dated(data: RunData) -> plots.Items:
    return data.items if not data.n_undated else data.items[np.isfinite(data.items["end_s"])]


def _time(stamp: str) -> str:
    try:
        return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except (OverflowError, ValueError):  # damaged: shown as it stands
        return stamp


def _posix_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
