"""Checks on the names of a pipeline's outputs, made before any item is processed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.datasets.manifest import manifest_places
from curator_core.errors import ConfigError
from curator_core.merge.archive import ShardedOutput, sharded_outputs
from curator_core.pipeline.components import Source, shard_path
from curator_core.storage.atomic import suffixed_sibling, temporary_sibling
from curator_core.storage.kept import versions_folder
from curator_core.storage.local import require_own
from curator_core.storage.places import check_lengths, real_place

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline

_LARGEST_INDEX = 999_999_999


def check_output_names(pipeline: Pipeline[Any]) -> None:
    """Refuse merged outputs that cannot be written, or that would overwrite each other or an input.

    Shards, archives and temporary files are named after their output, so they count as well.

    Raises
    ------
    ConfigError
        The message names the outputs, and says what to do.
    """
    outputs = sharded_outputs(pipeline)
    for output in outputs:
        _check_place(output)
        _check_inputs(output, pipeline.source)
        _check_database(output, pipeline.db_file)
    for first, second in combinations(outputs, 2):
        _check_apart(first, second)


def _check_database(output: ShardedOutput, db_file: str | os.PathLike[str] | None) -> None:
    if db_file is None:
        return
    real = _real(output.location.work_path)
    if _real(db_file) in (real, *map(_real, _files_beside(output))):
        raise ConfigError(f"{_named(output)} and the metrics database {str(db_file)!r} share a file.")
    if _is_within(_real(db_file), real):
        raise ConfigError(
            f"{_named(output)} holds the metrics database {str(db_file)!r}, which replacing the output would remove: "
            "put it somewhere else."
        )


def _check_place(output: ShardedOutput) -> None:
    named = _named(output)
    output.location.check(f"{output.component.component_name()}: the output")
    path = output.location.work_path
    check_lengths(path.parent, _names_beside(output), named)
    if "{worker_id}" in path.name:
        raise ConfigError(
            f"{named}: workers have no files of their own here, every item has one, named after the output. "
            f"Name the merged output: {path.name.replace('_{worker_id}', '').replace('{worker_id}', '') or 'rows'!r}."
        )
    require_own(output.archive_path, named)
    _check_settable(output)


def _check_settable(output: ShardedOutput) -> None:
    """An accumulating filter of another package is given the shard's name in place of its output's."""
    component = output.component
    if "_output_path" in dir(component) and not hasattr(component, "write_shard") and output.kind == "filter":
        try:
            component._output_path = type(component._output_path)(output.path)  # noqa: SLF001 - their protocol
        except (AttributeError, TypeError, ValueError) as exc:
            raise ConfigError(f"{_named(output)}: its _output_path cannot be set to another path: {exc}.") from exc


def _names_beside(output: ShardedOutput) -> Iterator[str]:
    """The longest names that will stand beside an output."""
    shard = Path(shard_path(output.path, _LARGEST_INDEX, getattr(output.component, "shard_suffix", "")))
    yield suffixed_sibling(shard).name
    for path in (output.location.work_path, *_files_beside(output)):
        yield temporary_sibling(path).name
    yield f"{output.archive_path.name}-journal"


def _files_beside(output: ShardedOutput) -> list[Path]:
    """What is kept beside an output: its archive, and the manifest of a sink's, under its former name, too."""
    places = manifest_places(output.location) if output.kind == "sink" else ()
    return [output.archive_path, *(place.work_path for place in places)]


def _former_versions(output: ShardedOutput) -> list[Path]:
    """Where a former version of a sink's output would lie, with its manifest and the records."""
    if output.kind != "sink":
        return []
    work = output.location.work_path
    folder, name = versions_folder(work), f"{'0' * 64}{work.suffix}"
    return [folder / name, folder / f"{name}.manifest.json", folder / "records.json"]


def _check_inputs(output: ShardedOutput, source: Source[Any]) -> None:
    real = _real(output.location.work_path)
    shard = shard_path(real, 0, getattr(output.component, "shard_suffix", ""))
    remote = [output.path] if "://" in output.path else []
    beside = map(_real, [*_files_beside(output), *_former_versions(output)])
    for path in (*remote, real, shard, *beside):
        if source.is_input(path):
            raise ConfigError(
                f"{_named(output)} stands among the inputs: {source.component_name()} would read {path!r} as an item. "
                "Write into another folder, or give the source a pattern that leaves it out."
            )
    for name, value in (source.arguments or {}).items():
        if not isinstance(value, str | os.PathLike) or not os.fspath(value):
            continue
        if _real(value) == real:
            raise ConfigError(f"{_named(output)} is the {name} of {source.component_name()}: write somewhere else.")
        if _is_within(_real(value), real) and os.path.exists(value):  # noqa: PTH110 - a text
            raise ConfigError(
                f"{_named(output)} holds {os.fspath(value)!r}, the {name} of {source.component_name()}, which "
                "replacing the output would remove: write somewhere else."
            )


def _check_apart(first: ShardedOutput, second: ShardedOutput) -> None:
    one, other = Path(_real(first.location.work_path)), Path(_real(second.location.work_path))
    both = f"{_named(first)} and {_named(second)}"
    if one == other:
        raise ConfigError(f"{both} are the same file: give each a name of its own.")
    if one in other.parents or other in one.parents:
        raise ConfigError(f"{both} lie inside each other, and replacing the outer one would remove the inner one.")
    if one.parent != other.parent:
        return
    if _real(first.archive_path) == _real(second.archive_path):
        raise ConfigError(
            f"{both} differ in their suffix alone, so their shards would have the same names. Rename one, for "
            f"example to {str(other.with_stem(f'{other.stem}_{second.component.component_name()}'))!r}."
        )
    for output, name in ((first, other.name), (second, one.name)):
        beside = {*_files_beside(output), versions_folder(output.location.work_path)}
        if output.shard_name.fullmatch(name) or name in {path.name for path in beside}:
            raise ConfigError(
                f"{both}: the one is named like a shard, the manifest or the former versions of the other. Rename one."
            )


def _is_within(path: str, folder: str) -> bool:
    return Path(folder) in Path(path).parents


def _named(output: ShardedOutput) -> str:
    return f"{output.component.component_name()}: the output {output.path!r}"


def _real(path: str | os.PathLike[str]) -> str:
    return real_place(path)
