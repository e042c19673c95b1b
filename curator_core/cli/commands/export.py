"""`curator export`: what is recorded of every item, for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from curator_core.cli.database import waiting_results
from curator_core.cli.loading import recorded_at
from curator_core.cli.options import CuratorCommand, output_option, recorded_argument, run_option
from curator_core.cli.output import ShownFile, counted, say
from curator_core.errors import ConfigError
from curator_core.formats.tabular import write_csv, write_json
from curator_core.store import MetricsStore, item_table
from curator_core.store.export import Format, export_file


@click.command(
    cls=CuratorCommand,
    examples=("export atoms.yaml --csv", "export atoms.yaml -o items.parquet", "export run.db --json --run 2"),
)
@recorded_argument
@click.option("--csv", "as_csv", is_flag=True, help="CSV, with a header; lists of paths are JSON.")
@click.option("--json", "as_json", is_flag=True, help="JSON: an array, one object per item, each on its own line.")
@click.option("--parquet", "as_parquet", is_flag=True, help="Parquet, with typed columns; needs -o.")
@output_option("File to write, replaced in one step; its extension may name the format. By default standard output.")
@run_option
def export(
    *, path: str, as_csv: bool, as_json: bool, as_parquet: bool, output: Path | None, run_id: int | None
) -> None:
    """Write what is recorded of every item: one row per item.

    The columns are index, key, status, error, wall_time_ns, one per stage (such as 0_numbers_ns, its time without
    the other stages), peak_memory_bytes, gpu_memory_bytes, output_paths, fingerprint, worker_id, started_at and
    completed_at. For a pipeline file the database of its last run is taken. Items without a result are left out.
    """
    forms: dict[Format, bool] = {"csv": as_csv, "json": as_json, "parquet": as_parquet}
    output = None if output == Path("-") else output
    form = _chosen_format([form for form, is_wanted in forms.items() if is_wanted], output)
    db_path, config_hash = recorded_at(path)
    _check_output(output, path, db_path)
    with MetricsStore(db_path) as store:
        run = store.run(run_id, config_hash=config_hash)
        n_waiting = len(waiting_results(db_path, run.config_hash))
        if n_waiting:
            waiting = counted(n_waiting, "result")
            say(f"Not exported: {waiting} of a run in progress, or stopped; a run takes them over.", err=True)
        if output is not None:
            export_file(store, run.run_id, output, form)
            return
        with item_table(store, run.run_id) as table:
            (write_csv if form == "csv" else write_json)(table, ShownFile())


def _chosen_format(wanted: list[Format], output: Path | None) -> Format:
    suffix = output.suffix.lower() if output is not None else ""
    by_suffix: dict[str, Format] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
    if not wanted and suffix in by_suffix:
        wanted = [by_suffix[suffix]]
    if len(wanted) != 1:
        raise click.UsageError("Choose one of --csv, --json and --parquet.", click.get_current_context())
    if wanted == ["parquet"] and output is None:
        raise click.UsageError("--parquet needs a file: -o FILE.", click.get_current_context())
    return wanted[0]


def _check_output(output: Path | None, path: str, db_path: Path) -> None:
    if output is None:
        return
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"Cannot write {output}: there is no folder {output.parent}. Make it first.")
    if output.exists() and any(output.samefile(given) for given in (path, db_path)):
        raise ConfigError(f"{output} is what is to be exported: choose another file for -o.")
