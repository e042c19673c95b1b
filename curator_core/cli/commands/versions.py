"""`curator versions`: the versions of a published dataset, listed, compared, restored, tagged and expired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from curator_core.cli.options import CuratorCommand, json_option
from curator_core.cli.output import counted, local_time, print_json, print_table, say, size
from curator_core.datasets.history import VersionRecord
from curator_core.datasets.versions import (
    NEWEST,
    DatasetVersion,
    diff_versions,
    expire_versions,
    list_versions,
    restore_version,
    tag_version,
    untag_version,
)
from curator_core.errors import ComponentError

_SHOWN_ID = 16
"""Digits of a version that are shown in a table."""

dataset_argument = click.argument("dataset", metavar="DATASET")
keep_option = click.option(
    "--keep", "keep_versions", metavar="N", type=click.IntRange(min=1), help="How many are kept, the newest counted."
)


class VersionsGroup(click.Group):
    """`curator versions DATASET` lists; a dataset may also stand before the sub-command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the sub-command first."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            command, rest = (
                ("list", args[1:]) if len(args) == 1 or args[1] not in self.commands else (args[1], args[2:])
            )
            args = [command, args[0], *rest]
        return super().parse_args(ctx, args)


@click.group(
    cls=VersionsGroup,
    epilog="\b\nExamples:\n  curator versions output/data.zarr\n  curator versions diff output/data.zarr 3fa9c1",
)
def versions() -> None:
    """List, compare, restore, tag and expire versions of a dataset.

    Every publication of a dataset is a version. The last ones are kept beside it, as many as the pipeline's setting
    keep_versions says, and those with a tag. DATASET is what the sink publishes, a path or URL; a version is named by
    its id, the beginning of one, a tag, or 'newest'.
    """


@versions.command(
    "list", cls=CuratorCommand, examples=("versions output/data.zarr", "versions list output/data.zarr --json")
)
@dataset_argument
@json_option
def list_command(*, dataset: str, as_json: bool) -> None:
    """List the versions of DATASET, newest first.

    Of one that expired the record alone is left.
    """
    found = list_versions(dataset)
    late = _replacements(dataset, found)
    if as_json:
        print_json([{**_as_data(version.record), **late[version.id], "state": version.state} for version in found])
        return
    is_divided = any(version.record.n_reassigned for version in found)
    is_late = any(any(counts.values()) for counts in late.values())
    counts = ("items", "missing", "added", "changed", "removed", *(("resplit",) if is_divided else ()))
    columns = ("version", "published", "state", *counts, *(("provisional", "final") if is_late else ()), "new", "tags")
    rows = (_row(version, late[version.id] if is_late else {}, is_divided=is_divided) for version in found)
    print_table(columns, rows)


def _replacements(dataset: str, found: Sequence[DatasetVersion]) -> dict[str, dict[str, int | None]]:
    """Numbers of items that are provisional, and that are final since the version before, by id, where they are known.

    Known they are of versions that are there, and where the one before is there, too.
    """
    from curator_core.datasets.aligned.availability import replacements  # noqa: PLC0415 - needs NumPy

    there = {version.id for version in found if version.state != "expired"}
    counts: dict[str, dict[str, int | None]] = {}
    for version in found:
        former = version.record.former if version.record.former in there else ""
        late = None
        try:
            late = replacements(dataset, version.id, former) if version.id in there else None
        except ComponentError as exc:
            say(f"{version.id[:_SHOWN_ID]}: {exc}", err=True)
        counts[version.id] = {
            "n_provisional": None if late is None else len(late.provisional),
            "n_final": None if late is None or not former else len(late.final),
        }
    return counts


def _row(version: DatasetVersion, late: Mapping[str, int | None], *, is_divided: bool) -> tuple[object, ...]:
    record = version.record
    counts: tuple[object, ...] = (record.n_items, record.n_missing, record.n_added, record.n_changed, record.n_removed)
    counts = (*counts, record.n_reassigned) if is_divided else counts
    counts = (*counts, *("" if count is None else count for count in late.values()))
    moment = f"{local_time(record.published_at)}{' (restored)' if record.is_restored else ''}"
    return (record.id[:_SHOWN_ID], moment, version.state, *counts, size(record.new_bytes), ", ".join(record.tags))


def _as_data(record: VersionRecord) -> dict[str, Any]:
    return {**asdict(record), "tags": list(record.tags)}


@versions.command(
    "diff",
    cls=CuratorCommand,
    examples=("versions diff output/data.zarr 3fa9c1", "versions diff output/data.zarr v1 v2"),
)
@dataset_argument
@click.argument("version")
@click.argument("other", default=NEWEST)
@json_option
def diff(*, dataset: str, version: str, other: str, as_json: bool) -> None:
    """Print the items by which VERSION and OTHER differ.

    OTHER is the newest version by default. A line is + for an item that was added, ~ for one that changed, - for one
    that was removed, and its key; > is for an item that is in another split, ? for one that has provisional values in
    OTHER, ! for one with values that were provisional in VERSION and are final.
    """
    from curator_core.datasets.aligned.availability import replacements  # noqa: PLC0415 - needs NumPy

    changes, late = diff_versions(dataset, version, other), replacements(dataset, other, version)
    if as_json:
        found = asdict(changes) | ({} if late is None else asdict(late))
        print_json({what: list(keys) for what, keys in found.items()})
        return
    signs = {"+": changes.added, "~": changes.changed, "-": changes.removed, ">": changes.reassigned}
    signs |= {} if late is None else {"?": late.provisional, "!": late.final}
    for sign, keys in signs.items():
        for key in keys:
            say(f"{sign} {key}")
    said = [f"{len(changes.added)} added", f"{len(changes.changed)} changed", f"{len(changes.removed)} removed"]
    said += [f"{len(changes.reassigned)} in another split"] if changes.reassigned else []
    said += [f"{len(late.provisional)} provisional"] if late is not None and late.provisional else []
    said += [f"{len(late.final)} became final"] if late is not None and late.final else []
    say(", ".join(said), err=True)


@versions.command("restore", cls=CuratorCommand, examples=("versions restore output/data.zarr 3fa9c1",))
@dataset_argument
@click.argument("version")
def restore(*, dataset: str, version: str) -> None:
    """Publish a former VERSION again; the one that was there is kept.

    What is recorded of the items stays as it is: the next run processes those again of which the dataset holds another
    version than the source, and gathering publishes what the source holds then.
    """
    record = restore_version(dataset, version)
    say(f"{record.id}, {counted(record.n_items, 'item')}, is the newest version of {dataset}.")


@versions.command("tag", cls=CuratorCommand, examples=("versions tag output/data.zarr newest paper-1.0",))
@dataset_argument
@click.argument("version")
@click.argument("tag")
def tag(*, dataset: str, version: str, tag: str) -> None:
    """Give VERSION the name TAG; it is kept for as long as it has one."""
    say(f"{tag_version(dataset, version, tag).id} has the tag {tag}.")


@versions.command("untag", cls=CuratorCommand, examples=("versions untag output/data.zarr paper-1.0",))
@dataset_argument
@click.argument("tag")
def untag(*, dataset: str, tag: str) -> None:
    """Remove TAG; its version expires as any other from then on."""
    say(f"{untag_version(dataset, tag).id} has the tag {tag} no more.")


@versions.command(
    "expire",
    cls=CuratorCommand,
    examples=("versions expire output/data.zarr 3fa9c1", "versions expire output/data.zarr --keep 2"),
)
@dataset_argument
@click.argument("names", metavar="[VERSION]...", nargs=-1)
@keep_option
def expire(*, dataset: str, names: tuple[str, ...], keep_versions: int | None) -> None:
    """Delete former versions: those that are named, or all but the last ones.

    The newest version and those with a tag stay. Who reads one that expired gets an error that says so.
    """
    for version in expire_versions(dataset, names, keep_versions=keep_versions):
        say(version)
