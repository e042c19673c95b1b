"""`curator verify`: whether a published dataset is what was published."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from curator_core.cli.exitcodes import ExitCode
from curator_core.cli.options import CuratorCommand, json_option
from curator_core.cli.output import print_json, say
from curator_core.datasets.versions import NEWEST

if TYPE_CHECKING:
    from curator_core.datasets.verifying import Damage

_MAX_NAMED = 5


@click.command(
    cls=CuratorCommand, examples=("verify output/data.zarr", "verify output/data.zarr --version paper-1.0 --json")
)
@click.argument("dataset", metavar="DATASET")
@click.option("--version", default=NEWEST, show_default=True, help="The version to verify: its id, or a tag.")
@json_option
def verify(*, dataset: str, version: str, as_json: bool) -> ExitCode:
    """Compare the files of DATASET with what was published.

    Every file is read and compared with the checksum that was taken when it was written; the tables of items are
    compared with the arrays and with the manifest, and files that do not belong there are named. What is damaged is
    printed, a line each, with the items that it concerns; then the exit status is 1. No source is read.
    """
    from curator_core.merge.verify import verify_dataset  # noqa: PLC0415 - needs NumPy, as few commands do

    found = verify_dataset(dataset, version=version)
    if as_json:
        print_json([{**asdict(damage), "items": list(damage.items)} for damage in found])
    else:
        for damage in found:
            say(_line(damage))
        say(f"{len(found)} damages" if found else "Everything is as it was published.", err=True)
    return ExitCode.ITEMS_FAILED if found else ExitCode.OK


def _line(damage: Damage) -> str:
    more = f" and {len(damage.items) - _MAX_NAMED} more" if len(damage.items) > _MAX_NAMED else ""
    items = f" (items: {', '.join(damage.items[:_MAX_NAMED])}{more})" if damage.items else ""
    return f"{f'{damage.file}: ' if damage.file else ''}{damage.what}{items}"
