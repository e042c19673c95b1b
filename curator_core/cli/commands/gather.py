"""`curator gather`: merge shards into the published outputs."""

from __future__ import annotations

import click

from curator_core.cli.loading import existing_database, load_pipeline
from curator_core.cli.options import CuratorCommand, database_option, pipeline_argument
from curator_core.cli.output import say
from curator_core.merge.archive import sharded_outputs
from curator_core.session.gather import gather_pipeline


@click.command(cls=CuratorCommand, examples=("gather atoms.yaml",))
@pipeline_argument
@click.option("--keep-shards", is_flag=True, help="Leave the shards where they are.")
@database_option
def gather(*, path: str, keep_shards: bool, db_file: str | None) -> None:
    """Merge shards into the final files of PIPELINE.

    Statistics, tables and datasets are first written per item, as shards. This merges those of all completed
    items, in the order of the source, into the final files, each replaced in one step, and then removes the
    shards. The results of the last run are taken, and the merged files are printed. Doing it again changes
    nothing.
    """
    pipeline = load_pipeline(path, db_file=db_file)
    if not sharded_outputs(pipeline):
        say(f"Nothing to merge: no component of {path} writes shards.", err=True)
        return
    pipeline = pipeline.with_settings(db_file=existing_database(pipeline, path))
    merged = gather_pipeline(pipeline, keep_shards=keep_shards)
    for output in merged:
        say(output)
    if not merged:
        say("Nothing to merge: no item is complete.", err=True)
