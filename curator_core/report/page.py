"""The report: from a metrics database to a page."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from curator_core.errors import OutputError, StoreError
from curator_core.report.availability_section import availability
from curator_core.report.datasheet_section import datasheet
from curator_core.report.figure import styled
from curator_core.report.html import document
from curator_core.report.run_data import read_run
from curator_core.report.sections import facts, failures, figures, footer, heading, slowest, warnings, workers
from curator_core.storage.atomic import publish_text
from curator_core.store import MetricsStore, journal_directory, read_journals


def write_report(
    db_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    run_id: int | None = None,
    config_hash: str | None = None,
    dataset: str | None = None,
) -> None:
    """Write a run's report: one HTML file that needs nothing else.

    Parameters
    ----------
    db_path
        The metrics database; a run may be writing it.
    output
        The page; replaced in one step.
    run_id
        The run; the newest by default.
    config_hash
        Only runs of this configuration.
    dataset
        Path or URL of the dataset of slots whose gaps are shown, and that the datasheet describes, as it is now; by
        default that of the run's sink, where it is a local one and still there.

    Raises
    ------
    ComponentError
        `dataset` is no dataset of slots.
    StoreError
        The database cannot be used, has no such run, or the page cannot be written.
    MissingDependencyError
        Matplotlib is not installed.
    """
    with styled():
        page = _page(Path(db_path), run_id, config_hash, dataset)
    target = Path(output)
    try:
        publish_text(page, target)
    except OutputError as exc:
        raise StoreError(f"Cannot write the report {target}: {exc.reason}. Choose another place with -o.") from exc


def _page(db_path: Path, run_id: int | None, config_hash: str | None, dataset: str | None) -> str:
    with MetricsStore(db_path) as store:
        data = read_run(store, store.run(run_id, config_hash=config_hash))
    journals = read_journals(journal_directory(db_path), data.run.config_hash)
    n_waiting = sum(len(results) for _, results in journals)
    title, head = heading(data)
    return document(
        title,
        head,
        facts(data, db_path, n_waiting),
        availability(data.run, dataset),
        *figures(data),
        slowest(data),
        failures(data),
        warnings(data),
        workers(data),
        datasheet(data.run, dataset),
        footer(datetime.now(UTC)),
    )
