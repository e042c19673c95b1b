"""`curator gather`: merge shards into the published outputs."""

from __future__ import annotations

import re

import click

from curator_core.cli.commands.run import backend_option, jobs_option
from curator_core.cli.loading import existing_database, load_pipeline
from curator_core.cli.options import CuratorCommand, database_option, pipeline_argument
from curator_core.cli.output import counted, say
from curator_core.merge.archive import sharded_outputs
from curator_core.run.segments import segment_encoder
from curator_core.session.gather import publish

_AMOUNT = re.compile(r"([0-9]+)|([0-9]+(?:\.[0-9]+)?)%")


class MissingItems(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A number of items, or a share of all as a percentage."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """The number as an integer, the share as a fraction."""
        found = _AMOUNT.fullmatch(str(value).strip())
        if found is None or float(found[2] or 0) >= 100:  # noqa: PLR2004 - per cent
            message = f"{value!r} is neither a number of items, such as 3, nor a percentage below 100%, such as 1%."
            self.fail(message, param, ctx)
        return int(found[1]) if found[1] else float(found[2]) / 100


@click.command(
    cls=CuratorCommand, examples=("gather atoms.yaml", "gather atoms.yaml -j 8", "gather atoms.yaml --max-missing 1%")
)
@pipeline_argument
@jobs_option
@backend_option
@click.option("--keep-shards", is_flag=True, help="Leave the shards where they are.")
@click.option(
    "--max-missing",
    metavar="N|P%",
    type=MissingItems(),
    help="Publish nothing when more items than this failed, changed or were not processed.",
)
@click.option(
    "--keep-versions",
    metavar="N",
    type=click.IntRange(min=1),
    help="Keep so many versions of the dataset, the newest counted, in place of the pipeline's own number.",
)
@database_option
def gather(
    *,
    path: str,
    n_jobs: int,
    backend: str,
    keep_shards: bool,
    max_missing: float | None,
    keep_versions: int | None,
    db_file: str | None,
) -> None:
    """Merge shards into the final files of PIPELINE.

    Statistics, tables and datasets are first written per item, as shards. This merges those of all completed
    items, in the order of the source, into the final files, each replaced in one step, and then removes the
    shards. The results of the last run are taken, and the merged files are printed. Doing it again changes
    nothing. A manifest beside the dataset says which items are in it and which are missing; its data version,
    which is printed, changes exactly when they do. Workers take part where several items share files of a dataset,
    and there is much to encode.
    """
    encode = segment_encoder(backend, n_jobs, {})
    pipeline = load_pipeline(path, db_file=db_file)
    if not sharded_outputs(pipeline):
        say(f"Nothing to merge: no component of {path} writes shards.", err=True)
        return
    pipeline = pipeline.with_settings(
        db_file=existing_database(pipeline, path), keep_versions=keep_versions or pipeline.keep_versions
    )
    published = publish(pipeline, keep_shards=keep_shards, max_missing=max_missing, encode=encode)
    if published is None or not published.paths:
        say("Nothing to merge: no item is complete.", err=True)
        return
    for output in published.paths:
        say(output)
    if published.manifest_path is not None:
        manifest = published.manifest
        missing = f", {len(manifest.missing)} missing" if manifest.missing else ""
        items = f"{counted(len(manifest.fingerprints), 'item')}{missing}"
        say(f"Data version {manifest.data_version}, {items}: {published.manifest_path}", err=True)
