"""`curator verify`: whether a published dataset is what was published, and what its sources give."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from curator_core.cli.exitcodes import ExitCode
from curator_core.cli.loading import load_pipeline
from curator_core.cli.options import CuratorCommand, json_option
from curator_core.cli.output import print_json, print_table, say
from curator_core.datasets.versions import NEWEST
from curator_core.errors import ComponentError, ConfigError

if TYPE_CHECKING:
    from curator_core.datasets.contents import Damage
    from curator_core.pipeline.pipeline import Pipeline

_MAX_NAMED = 5


@click.command(
    cls=CuratorCommand,
    examples=(
        "verify output/data.zarr",
        "verify output/data.zarr --version paper-1.0 --json",
        "verify output/data.zarr --sources pipeline.yaml",
        "verify output/data.zarr --census",
    ),
)
@click.argument("dataset", metavar="DATASET")
@click.option("--version", default=NEWEST, show_default=True, help="The version to verify: its id, or a tag.")
@click.option(
    "--sources",
    metavar="PIPELINE",
    type=click.Path(exists=True, dir_okay=False, path_type=str),
    help="Also process every item again, by the pipeline that made the dataset, and compare.",
)
@click.option("--census", is_flag=True, help="Count NaN and infinite numbers instead, by variable and item.")
@json_option
def verify(*, dataset: str, version: str, sources: str | None, census: bool, as_json: bool) -> ExitCode:
    """Compare the files of DATASET with what was published.

    Every file is read and compared with the checksum that was taken when it was written; the tables of items are
    compared with the arrays and with the manifest, and files that do not belong there are named. What is damaged is
    printed, a line each, with the items that it concerns; then the exit status is 1. With --sources, so is every item
    that its source does not give as it was published; otherwise no source is read.
    """
    if census:
        if sources is not None:
            raise ConfigError("--census counts what is in the dataset: it does not go with --sources.")
        return _print_census(dataset, version, as_json=as_json)
    found = _damages(dataset, version, sources)
    if as_json:
        print_json([{**asdict(damage), "items": list(damage.items)} for damage in found])
    else:
        for damage in found:
            say(_line(damage))
        whole = "as it was published" if sources is None else "as it was published, and what the sources give"
        n = "1 damage" if len(found) == 1 else f"{len(found)} damages"
        say(n if found else f"Everything is {whole}.", err=True)
    return ExitCode.ITEMS_FAILED if found else ExitCode.OK


def _damages(dataset: str, version: str, sources: str | None) -> list[Damage]:
    from curator_core.merge.verify import verify_dataset  # noqa: PLC0415 - needs NumPy, as few commands do

    if sources is None:
        return verify_dataset(dataset, version=version)
    from curator_core.merge.sources import verify_sources  # noqa: PLC0415 - as above

    pipeline = _pipeline_of(dataset, sources)
    try:
        found = verify_dataset(dataset, version=version)
    except ComponentError as exc:
        say(f"{exc} It is compared with its sources alone.", err=True)
        found = []
    return [*found, *verify_sources(pipeline, version=version)]


def _pipeline_of(dataset: str, path: str) -> Pipeline[object]:
    """The pipeline in a file, which publishes the dataset."""
    pipeline = load_pipeline(path)
    output = str(getattr(pipeline.sink, "output_path", ""))
    if not output or _full(output) != _full(dataset):
        raise ConfigError(f"The pipeline in {path} publishes {output or 'no dataset'!r}, not {dataset!r}.")
    return pipeline


def _full(path: str) -> str:
    return path.rstrip("/") if "://" in path else os.path.realpath(path)


def _print_census(dataset: str, version: str, *, as_json: bool) -> ExitCode:
    from curator_core.merge.verify import count_nonfinite  # noqa: PLC0415 - needs NumPy, as few commands do

    found = list(count_nonfinite(dataset, version=version))
    if as_json:
        print_json([asdict(count) for count in found])
        return ExitCode.OK
    columns = ("variable", "item", "NaN", "+inf", "-inf", "of")
    if found:
        rows = ((c.variable, c.key, c.n_nan, c.n_positive, c.n_negative, c.n_values) for c in found)
        print_table(columns, rows)
    say(f"{len(found)} items of variables have numbers that are not finite." if found else "All are finite.", err=True)
    return ExitCode.OK


def _line(damage: Damage) -> str:
    more = f" and {len(damage.items) - _MAX_NAMED} more" if len(damage.items) > _MAX_NAMED else ""
    items = f" (items: {', '.join(damage.items[:_MAX_NAMED])}{more})" if damage.items else ""
    return f"{f'{damage.file}: ' if damage.file else ''}{damage.what}{items}"
