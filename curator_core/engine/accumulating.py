"""What filters write for one index: shards of those that accumulate, and the files that they report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curator_core.engine.failure import annotate, describe, shown
from curator_core.engine.pristine import PristineState
from curator_core.engine.returns import checked_path
from curator_core.errors import ComponentError, ConfigError
from curator_core.interruption import is_interruption
from curator_core.pipeline.components import Component, Filter, ShardedFilter, is_flushing, overrides, shard_path
from curator_core.storage.atomic import remove, temporary_sibling, written_shard
from curator_core.storage.disk import room_for


def check_accumulating(filters: Sequence[Filter[Any]], holder: str) -> None:
    """Refuse a filter whose state would be lost with a copy of it, since nobody can merge it.

    Parameters
    ----------
    filters
        The steps.
    holder
        Who has the copy, for the message.

    Raises
    ------
    ConfigError
        It has `flush`, and not all else that it takes.
    """
    for step in filters:
        if isinstance(step, ShardedFilter) or not callable(getattr(step, "flush", None)):
            continue
        lacks = [what for what in ("merge", "_output_path") if not hasattr(step, what)]
        if lacks:
            raise ConfigError(
                f"{step.component_name()} has flush(), but no {' and no '.join(lacks)}: what its copy in {holder} "
                "accumulates could not be merged with that of others, and would be lost. Give it "
                "merge(shard_paths, output_path) and its output as _output_path, derive it from ShardedFilter, or use "
                "run_pipeline(..., n_jobs=1) and its flush() in the same process."
            )


class FilterOutputs:
    """Lets the filters of one pipeline write what belongs to an index, and collects the files.

    Filters of other packages (`FlushingFilter`) rely on one object that sees all items. Here each of their items
    has a shard of its own, so after every item they are brought back to the state they had before it: what an
    item left behind, a failed one above all, reaches no other.

    Parameters
    ----------
    filters
        The steps, in order.
    others
        Components that a filter may refer to without owning them.
    """

    def __init__(self, filters: Sequence[Filter[Any]], others: Sequence[Component]) -> None:
        self._filters = filters
        self._silent = {  # told once: asking costs about as much as all else for an item
            order
            for order, step in enumerate(filters, start=1)
            if not overrides(step, Filter.artifacts) and not isinstance(step, ShardedFilter) and not is_flushing(step)
        }
        self._states = {
            order: PristineState(step, (*filters, *others))
            for order, step in enumerate(filters, start=1)
            if is_flushing(step)
        }

    def collect(self, order: int, index: int) -> list[str]:
        """Files that the filter at `order` (1 for the first) has written for an index, its shard first."""
        if order in self._silent:
            return []
        step = self._filters[order - 1]
        if isinstance(step, ShardedFilter):
            shard = _write_shard(step, index)
            return list(dict.fromkeys((shard, *_without(step.output_path, _reported(step)))))
        if order in self._states:
            self._states[order].check()
            return _flush(step, index)
        return _reported(step)

    def end_item(self, failure: BaseException | None) -> None:
        """End an item: forget what filters accumulated, and, when it failed, what they would report."""
        if failure is not None:
            for state in self._states.values():
                state.discard(failure)
            for order, step in enumerate(self._filters, start=1):
                if order not in self._silent:
                    _drain(step, failure)
        for state in self._states.values():
            state.restore()


def _drain(step: Filter[Any], failure: BaseException) -> None:
    """Ask for what a failed item wrote, so that it is not credited to the next one."""
    try:
        step.artifacts()
    except BaseException as exc:  # clean-up of an item that failed already
        if is_interruption(exc):
            raise
        annotate(failure, f"{step.component_name()}.artifacts() failed as well: {describe(exc)}")


def _write_shard(step: ShardedFilter[Any], index: int) -> str:
    path = shard_path(step.output_path, index, step.shard_suffix)
    with written_shard(path, step.component_name()) as temporary:
        step.write_shard(str(temporary))
    return path


def _flush(step: Any, index: int) -> list[str]:  # noqa: ANN401 - a filter that fulfils the protocol
    """Let an accumulating filter of another package write its shard; its files.

    Such filters know a single output, so the shard's path stands in for it meanwhile, in an empty folder: one
    that appends finds nothing there, and whatever it writes beside its output is published with it.
    """
    merged = step._output_path  # noqa: SLF001 - the protocol of those packages
    shard = Path(shard_path(merged, index))
    folder = temporary_sibling(shard)
    with room_for(shard):
        folder.mkdir(parents=True)
        try:
            with _standing_in(step, merged, folder / shard.name):
                step.flush()
                reported = _reported(step)
            _check_is_file(folder / shard.name, step)
            published = _published(folder, shard)
        finally:
            remove(folder)
    moved = [str(shard.parent / name) if (name := _inside(folder, path)) else path for path in reported]
    return list(dict.fromkeys((*published, *_without(merged, moved))))


def _check_is_file(shard: Path, step: Filter[Any]) -> None:
    """Refuse a folder at once: the items' shards could not be kept in one archive, nor merged from there."""
    if shard.is_dir():
        name = step.component_name()
        raise ComponentError(
            f"{name}.flush() made a folder at its _output_path, where only a file can be merged later. Write one file "
            "(an archive of the folder, say), or make the filter a ShardedFilter.",
            component=name,
        )


@contextmanager
def _standing_in(step: Any, merged: Any, path: Path) -> Iterator[None]:  # noqa: ANN401 - as above
    step._output_path = type(merged)(str(path))  # noqa: SLF001 - the protocol of those packages
    try:
        yield
    finally:
        step._output_path = merged  # noqa: SLF001


def _published(folder: Path, shard: Path) -> list[str]:
    """Move what was written into place, the shard last; a shard of an earlier run does not outlive it."""
    written = sorted(folder.iterdir(), key=lambda path: path.name == shard.name)
    if not (folder / shard.name).exists():
        remove(shard)
    for path in written:
        target = shard.parent / path.name
        if path.is_dir() or target.is_dir():
            remove(target)
        path.replace(target)
    return [str(shard.parent / path.name) for path in reversed(written)]


def _without(merged: object, paths: list[str]) -> list[str]:
    """Paths without the merged output, which is there when it was gathered before, and is no item's own."""
    own = _absolute(merged)
    return [path for path in paths if _absolute(path) != own]


def _inside(folder: Path, path: str) -> str:
    """Path relative to a folder that it is in; empty when it is not."""
    place = Path(_absolute(path))
    root = Path(_absolute(folder))
    return str(place.relative_to(root)) if place != root and place.is_relative_to(root) else ""


def _absolute(path: object) -> str:
    return os.path.abspath(os.fspath(path))  # type: ignore[call-overload, no-any-return]  # noqa: PTH100 - no links followed


def _reported(step: Filter[Any]) -> list[str]:
    """The files that a filter reports, as text."""
    paths: object = step.artifacts()
    if paths is None or paths == []:
        return []
    name = step.component_name()
    if not isinstance(paths, list | tuple | set):
        raise ComponentError(
            f"{name}.artifacts() returned {shown(paths)}; it must return the list of paths that the filter wrote.",
            component=name,
        )
    return [checked_path(path, f"{name}.artifacts() returned", component=name) for path in paths]
