"""`curator cache`: the metrics databases of a folder, and removing old ones."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from curator_core.cli.options import Age, CuratorCommand, json_option
from curator_core.cli.output import counted, is_attended, local_time, one_line, print_json, print_table, say, size
from curator_core.errors import ConfigError, StoreError
from curator_core.storage.places import cache_directory
from curator_core.store.inventory import DatabaseSummary, find_databases, remove_database

folder_option = click.option(
    "--db-dir",
    "db_dir",
    metavar="DIRECTORY",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to look in; by default the one where databases go that a pipeline names no place for.",
)


@click.group(epilog="\b\nExamples:\n  curator cache list\n  curator cache prune --older-than 30d --keep 1")
def cache() -> None:
    """Look after the metrics databases of past runs.

    Every run without --resume leaves a database of its own. A database is all that is known about a run: without it,
    nothing can be resumed, shown or exported. The curated files are elsewhere and are never touched.
    """


@cache.command("list", cls=CuratorCommand, examples=("cache list", "cache list --db-dir results --json"))
@folder_option
@json_option
def list_databases(*, db_dir: Path | None, as_json: bool) -> None:
    """List the metrics databases of the cache folder.

    The most recently active comes first. Counts are those of a database's latest run.
    """
    folder, found = _databases(db_dir)
    if as_json:
        print_json([_as_data(one) for one in found])
        return
    if not found:
        say(f"No metrics databases in {one_line(folder)}.")
        return
    columns = ("file", "pipeline", "runs", "completed", "failed", "total", "size", "last activity", "note")
    print_table(columns, [_row(one) for one in found])
    say(f"\n{_total(found)} in {one_line(folder)}")


@cache.command(
    "prune",
    cls=CuratorCommand,
    examples=("cache prune --older-than 30d", "cache prune --keep 1 --yes", "cache prune --older-than 4w --keep 3"),
)
@click.option(
    "--older-than", metavar="AGE", type=Age(), help="Those without activity for so long, such as 12h, 30d, 4w."
)
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(min=0),
    help="Never the N most recently active databases of a configuration.",
)
@folder_option
@click.option("-y", "--yes", is_flag=True, help="Remove without asking; without it, a script only shows what would go.")
def prune(*, older_than: timedelta | None, keep: int | None, db_dir: Path | None, yes: bool) -> None:
    """Remove old metrics databases of the cache folder.

    A database goes when all that is given applies: --older-than, --keep, or both. One that a run is writing, that
    cannot be read, or beside which results wait to be taken over is always kept, and so is every file that is no
    metrics database.
    """
    if older_than is None and keep is None:
        raise click.UsageError("Say what to remove: --older-than 30d, --keep 1, or both.", click.get_current_context())
    folder, found = _databases(db_dir)
    chosen = _outdated(found, older_than, keep)
    kept = [one for one in chosen if one.obstacle is not None]
    doomed = [one for one in chosen if one.obstacle is None]
    for one in kept:
        say(f"kept: {one_line(one.path.name)}: {one_line(one.obstacle)}")
    if not doomed:
        say(f"Nothing to remove of {_total(found)} in {one_line(folder)}.")
        return
    print_table(("file", "pipeline", "size", "last activity"), [_doomed_row(one) for one in doomed])
    say()
    if not yes and not is_attended():
        say(f"Nothing was removed: {_total(doomed)} would be. Add --yes to remove them.")
    elif yes or click.confirm(f"Remove {_total(doomed)}?"):
        _remove(doomed)
    else:
        say("Nothing was removed.")


def _databases(db_dir: Path | None) -> tuple[Path, list[DatabaseSummary]]:
    folder = cache_directory(db_dir)
    if db_dir is not None and not folder.is_dir():
        raise ConfigError(f"--db-dir: there is no folder {db_dir}.")
    return folder, find_databases(folder)


def _outdated(
    found: Sequence[DatabaseSummary], older_than: timedelta | None, keep: int | None
) -> list[DatabaseSummary]:
    """Databases, newest first, to which all of the conditions apply."""
    outdated = []
    n_newer: Counter[str] = Counter()
    for one in found:
        is_among_newest = keep is not None and any(n_newer[digest] < keep for digest in one.config_hashes)
        n_newer.update(one.config_hashes)
        is_old = older_than is None or one.last_activity is None or one.last_activity < datetime.now(UTC) - older_than
        if is_old and not is_among_newest:
            outdated.append(one)
    return outdated


def _remove(doomed: Sequence[DatabaseSummary]) -> None:
    removed = []
    for one in doomed:
        try:
            remove_database(one.path)
        except StoreError as exc:  # a run has begun since
            say(f"kept: {one_line(exc)}")
        else:
            removed.append(one)
    say(f"Removed {_total(removed)}.")


def _pipeline(one: DatabaseSummary) -> str:
    return " → ".join(one.components)


def _total(found: Sequence[DatabaseSummary]) -> str:
    return f"{counted(len(found), 'database')} ({size(sum(one.size_bytes for one in found))})"


def _row(one: DatabaseSummary) -> tuple[object, ...]:
    items = (one.n_completed, one.n_failed, one.runs[-1].total_indices) if one.runs else ("", "", "")
    return (one.path.name, _pipeline(one), len(one.runs), *items, *_doomed_row(one)[2:], one.obstacle or "")


def _doomed_row(one: DatabaseSummary) -> tuple[object, ...]:
    last = local_time(one.last_activity.isoformat()) if one.last_activity is not None else "unknown"
    return one.path.name, _pipeline(one), size(one.size_bytes), last


def _as_data(one: DatabaseSummary) -> dict[str, object]:
    return {
        "file": os.fspath(one.path),
        "pipeline": one.components,
        "config_hashes": one.config_hashes,
        "runs": len(one.runs),
        "total": one.runs[-1].total_indices if one.runs else None,
        "completed": one.n_completed,
        "failed": one.n_failed,
        "size_bytes": one.size_bytes,
        "last_activity": one.last_activity.isoformat() if one.last_activity is not None else None,
        "running": one.is_running,
        "journals": one.n_journals,
        "problem": one.problem,
    }
