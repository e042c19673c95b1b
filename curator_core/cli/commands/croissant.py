"""`curator croissant`: the Croissant record of a published dataset."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from curator_core.cli.options import CuratorCommand, output_option
from curator_core.cli.output import say
from curator_core.datasets.versions import NEWEST

_WANTED = {"license": "license", "creator": "creators", "url": "url"}
"""What the specification requires and people alone know, with its name in a pipeline file."""


@click.command(
    cls=CuratorCommand,
    examples=(
        "croissant output/data.zarr",
        "croissant output/data.zarr -o output/croissant.json",
        "croissant output/data.zarr --version paper-1.0",
    ),
)
@click.argument("dataset", metavar="DATASET")
@click.option("--version", default=NEWEST, show_default=True, help="The version that is described: its id, or a tag.")
@output_option("The file to write; printed by default.")
def croissant(*, dataset: str, version: str, output: Path | None) -> None:
    """Print the Croissant 1.1 record of DATASET, as JSON-LD.

    It is the record that the dataset carries in croissant.json, with the date on which the version was published and
    with the items that are missing from it. Its files are named relative to the dataset; in a file that -o writes into
    a folder above the dataset, relative to that folder. What the specification requires and nobody said, such as the
    licence, is named: it belongs into the pipeline's setting 'dataset'.
    """
    from curator_core.croissant import dataset_record  # noqa: PLC0415 - needs NumPy, as few commands do

    record = dataset_record(dataset, version=version)
    if output is not None:
        _point_from(record, dataset, output)
    text = json.dumps(record, indent=1, ensure_ascii=False)
    if output is None:
        say(text)
    else:
        from curator_core.storage.atomic import publish_text  # noqa: PLC0415 - as above

        publish_text(f"{text}\n", output)
        say(output)
    missing = [setting for name, setting in _WANTED.items() if name not in record]
    if missing:
        say(f"Not said, and required by the specification: {', '.join(missing)}. See settings.dataset.", err=True)


def _point_from(record: dict[str, Any], dataset: str, output: Path) -> None:
    """Name the files relative to the folder of the record, where they lie below it."""
    folder, place = os.path.realpath(output.parent), os.path.realpath(dataset)
    if "://" in dataset or os.path.commonpath([folder, place]) != folder:
        say(f"Its files are named relative to the dataset: {output} is read beside them, in {dataset}.", err=True)
        return
    base = os.path.relpath(place if Path(place).is_dir() else Path(place).parent, folder)
    if base == os.curdir:
        return
    for entry in record["distribution"]:
        if "contentUrl" in entry:
            entry["contentUrl"] = f"{base}/{entry['contentUrl']}"
        if "includes" in entry:
            given = entry["includes"]
            patterns = [f"{base}/{one}" for one in ([given] if isinstance(given, str) else given)]
            entry["includes"] = patterns if len(patterns) > 1 else patterns[0]
