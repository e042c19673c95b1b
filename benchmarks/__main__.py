"""``make bench``: every measurement, written as a page of the documentation."""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import sqlite3
import tempfile
from collections.abc import Collection, Iterable
from itertools import chain, islice
from pathlib import Path

import curator_core
from benchmarks.dagster import event_rows
from benchmarks.dagster_backfill import prune_rows, retry_rows
from benchmarks.dagster_location import executor_rows, location_rows, sensor_rows
from benchmarks.dagster_pages import page_rows
from benchmarks.dataset_opening import opening_rows
from benchmarks.dataset_scale import dagster_rows, memory_rows, scale_of_changes
from benchmarks.datasets import dataset_rows
from benchmarks.experiments import experiment_rows, slurm_rows
from benchmarks.grids import grid_rows
from benchmarks.imports import import_rows
from benchmarks.meshes import mesh_rows
from benchmarks.object_publishing import publishing_rows
from benchmarks.object_reading import object_rows
from benchmarks.overhead import backend_rows, overhead_rows, real_work_rows, start_rows
from benchmarks.profile import function_rows, part_rows
from benchmarks.reading import reading_rows
from benchmarks.scale import scale_rows
from benchmarks.tables import table_rows
from benchmarks.timing import Row
from benchmarks.versions import version_rows

PAGE = """\
# Benchmarks

What curator itself costs. `make bench` measures all of it on your machine and rewrites this page; every section
is from one run of it, {machine}.

Times are the shortest of several rounds, in which what is compared takes turns; ratios on real work are medians over
the rounds, because a shared machine moves each by more than what is looked for.
{sections}"""

QUICK = ("sequential", "process_pool")
"""Backends of a quick look."""

SECTIONS: dict[str, str] = {
    "Cost per index": "Components that do nothing, so that nothing hides what curator adds.",
    "Where the time goes": "A tracked sequential run, its parts measured each alone, per index.",
    "The longest functions": "The same run under cProfile, which slows everything; time of their own, per index.",
    "Real work": "Items that take milliseconds of Python and make many objects.",
    "Backends": "A running dask cluster and a running Prefect server; the other backends include their start.",
    "Start": "What a run takes before and after its items; dask starts a cluster of its own, Prefect a server.",
    "A million items": "Each measurement in a process of its own; memory is the peak of the coordinator.",
    "Recording in Dagster": (
        "Each measurement in a process of its own that has loaded what it needs; every item is a materialization with "
        "its metadata. The plain assets are as Dagster's documentation has them, with the same metadata; a run per "
        "partition is measured without the start of a process for each, which the daemon adds."
    ),
    "Dagster as it is started": (
        "Runs from their start to their end; a sensor's tick; a code location's import; a backfill in the daemon; "
        "pages in a browser, from when they are asked for until they say what is looked for."
    ),
    "Sources in object stores": (
        "Objects of a moto server on this machine, one process, one item after another; the listing is of a server "
        "whose answers are made beforehand."
    ),
    "Datasets in object stores": (
        "Published to a moto server on this machine, and read from it; obstore puts the same bytes, as many at once."
    ),
    "Tables of experiments": "Rows of one table that several processes claim, and results of rows that one collects.",
    "SLURM": (
        "On a cluster of one node, this machine, whose scheduler looks once a second. The bare jobs load what a step "
        "of a workflow loads, and do nothing else."
    ),
    "Changing a dataset": (
        "Items of 4.2 MB, one a segment; published with all that makes it durable. The former merge decoded and "
        "encoded all rows; it stands in the benchmarks. What others have written is on the disk before: the first "
        "publication waits for it, too."
    ),
    "Datasets of many items": (
        "Changes are of items of 4.2 MB, one a segment, in memory: on a disk, making and removing folders takes most, "
        "and it is the same for links alone. Memory is the peak of a process that publishes small items, in files, or "
        "a large one. In Dagster, an item is a number."
    ),
    "Reading a dataset": (
        "Structures of 20 to 80 atoms with energies and forces, from a published dataset, and from the ASE databases "
        "that it came from as ase-db-backends reads them by id; decoded chunks of a fraction of the dataset are kept."
    ),
    "Grids": (
        "Days of hourly fields, NetCDF-4 with deflate, curated by one process on one core, and read and written by the "
        "libraries on one core; the libraries wait for no disk. GRIB messages have 31 × 16 points. Windows are read "
        "from chunks of eight steps."
    ),
    "Meshes": (
        "One process, in seconds of the processor, those of all threads together. Points have three coordinates of "
        "float32 and a pressure, triangles a traction; a publication gives files other names, and is not made durable."
    ),
    "Tables": "One process, one file after another, published with all that makes it durable; pyarrow uses all cores.",
    "Versions of a dataset": "Small files, all of them new, in memory: on a disk, making them durable takes most.",
    "Import": "Over an interpreter that imports nothing.",
}


def main(output: Path, wanted: Collection[str] = (), *, is_quick: bool) -> None:
    """Measure everything and write the page; or some sections, and write these anew."""
    few = 500 if is_quick else None
    rows = {  # measured in this order: the engines that are loaded for the backends slow down what comes after them
        "Cost per index": overhead_rows(few or 20_000),
        "Where the time goes": part_rows(few or 20_000),
        "The longest functions": function_rows(few or 20_000),
        "Real work": real_work_rows(20, 2) if is_quick else real_work_rows(),
        "Backends": backend_rows(few or 20_000, QUICK) if is_quick else backend_rows(),
        "Start": start_rows(QUICK) if is_quick else start_rows(),
        "A million items": scale_rows(few or 1_000_000),
        "Recording in Dagster": islice(event_rows(100, 20), 2) if is_quick else event_rows(),
        "Dagster as it is started": islice(sensor_rows(500), 1)
        if is_quick
        else chain(
            executor_rows(),
            executor_rows(10_000, 1),
            sensor_rows(),
            location_rows(),
            prune_rows(),
            retry_rows(),
            page_rows(),
        ),
        "Sources in object stores": object_rows(2, 5, 2000) if is_quick else object_rows(),
        "Datasets in object stores": publishing_rows(10) if is_quick else publishing_rows(),
        "Tables of experiments": experiment_rows(500, 100) if is_quick else experiment_rows(),
        "SLURM": slurm_rows(100, 10, n_iterations=0) if is_quick else slurm_rows(),
        "Changing a dataset": dataset_rows(20 if is_quick else 100),
        "Datasets of many items": chain(
            scale_of_changes((100, 200)), memory_rows((100, 200)), opening_rows(2000), dagster_rows(100)
        )
        if is_quick
        else chain(scale_of_changes(), memory_rows(), opening_rows(), dagster_rows()),
        "Reading a dataset": islice(reading_rows(400, 128), 6) if is_quick else reading_rows(),
        "Grids": grid_rows(2, 2, 4, 48, 1) if is_quick else grid_rows(),
        "Meshes": mesh_rows(50, 2, 20, 200) if is_quick else mesh_rows(),
        "Tables": table_rows(2, 2000) if is_quick else table_rows(),
        "Versions of a dataset": version_rows(200) if is_quick else version_rows(),
        "Import": import_rows(),
    }
    before = _sections(output) if wanted and output.exists() else {}
    sections = [
        _section(title, found) if not wanted or title in wanted else before.get(title, "")
        for title, found in rows.items()
    ]
    output.write_text(PAGE.format(machine=_machine(), sections="".join(sections)), encoding="utf-8")


def _sections(page: Path) -> dict[str, str]:
    """The sections of a page, by title."""
    found = page.read_text(encoding="utf-8").split("\n## ")[1:]
    return {text.partition("\n")[0]: f"\n## {text.rstrip()}\n" for text in found}


def _section(title: str, rows: Iterable[Row]) -> str:
    print(f"\n{title}")
    found = []
    for row in rows:
        print(f"  {row.measure}: {row.value}{f' (target {row.target})' if row.target else ''}", flush=True)
        found.append(row)
    has_targets = any(row.target for row in found)
    columns = ["measure", "result", *(["target", ""] if has_targets else [])]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in found:
        cells = [row.measure, row.value]
        if has_targets:
            cells += [row.target, "" if row.is_met is None else "met" if row.is_met else "**missed**"]
        lines.append(f"| {' | '.join(cells)} |")
    return f"\n## {title}\n\n{SECTIONS[title]}\n\n" + "\n".join(lines) + "\n"


def _machine() -> str:
    return (
        f"on {os.cpu_count()} cores ({platform.system()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version})"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/reference/benchmarks.md"), help="page to write")
    parser.add_argument("--quick", action="store_true", help="a few items of everything, to see that it works")
    parser.add_argument(
        "--section", action="append", default=[], choices=SECTIONS, help="only this one; again for more"
    )
    arguments = parser.parse_args()
    compileall.compile_dir(Path(curator_core.__file__).parent, quiet=1)  # as an installation does
    with tempfile.TemporaryDirectory() as home:  # for Prefect, which is loaded later
        os.environ |= {"PREFECT_HOME": home, "PREFECT_LOGGING_LEVEL": "CRITICAL"}
        os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        main(arguments.output, arguments.section, is_quick=arguments.quick)
