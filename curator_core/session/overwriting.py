"""What is written over: by an item, the file of another, so that it fails; by a pipeline, the output of another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from curator_core.datasets.history import was_restored
from curator_core.datasets.manifest import standing_head
from curator_core.errors import ComponentError, MergeError
from curator_core.merge.archive import ShardArchive
from curator_core.pipeline.components import ShardedSink, Sink
from curator_core.records import IndexResult
from curator_core.session.plan import absent_from
from curator_core.store import MetricsStore

if TYPE_CHECKING:
    from curator_core.merge.archive import ShardedOutput
    from curator_core.session.session import Session

logger = logging.getLogger("curator")

_MAX_REMEMBERED = 100_000


def shares_no_files(sink: Sink[Any]) -> bool:
    """Whether every item has files of its own: a sink whose items share files says so, or groups their indices."""
    has_groups = getattr(type(sink), "partition_indices", None) is not Sink.partition_indices
    return not (sink.appends or has_groups or isinstance(sink, ShardedSink))


def overwriting(result: IndexResult, sink: str, path: str, owner: str) -> IndexResult:
    """The failed result of an item that returned a path of another, whose key is `owner`."""
    error = ComponentError(
        f"{sink} returned {path!r} for {result.key!r} and for {owner!r}: the one has "
        "overwritten the other. Name files by index or key, or, where items add to one file on purpose, set "
        "`appends = True` in the sink.",
        component=sink,
        key=result.key,
        file=path,
    )
    text = f"{type(error).__name__}: {error}"
    return replace(
        result,
        status="error",
        output_paths=(),
        written=(),
        artifacts=(),
        error=text,
        traceback=None,
        exception=error,
    )


class OwnersByHand:
    """Keeps the items of paths while indices of a pipeline are processed one by one.

    Those that were recorded before it began are looked up once: one index costs the same, however many there are.
    """

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._run_id: int | None = None

    def checked(self, result: IndexResult, sink: Sink[Any], session: Session | None) -> IndexResult:
        """The result, or a failed one where another item has returned one of its paths."""
        if not (result.is_completed and shares_no_files(sink)):
            return result
        if session is not None and self._run_id != session.writer.run_id:
            self._begin(session.store, session.writer.run_id)
        passed_on = {} if session is None else session.writer.shifted_paths
        for path in result.output_paths:
            owner = self._keys.setdefault(path, result.key)
            if owner != result.key and path not in passed_on and _is_owned(path, owner, session):
                return overwriting(result, sink.component_name(), path, owner)
            self._keys[path] = result.key
        return result

    def _begin(self, store: MetricsStore, run_id: int) -> None:
        self._keys = store.path_owners(run_id, _MAX_REMEMBERED)
        self._run_id = run_id


def _is_owned(path: str, key: str, session: Session | None) -> bool:
    """Whether an item is recorded with a path still."""
    if session is None:
        return True
    return session.store.is_owned(session.writer.run_id, path, key)


def look_at_outputs(session: Session) -> None:
    """Refuse datasets of a newer curator, and say when another configuration took the place of this one's outputs.

    Raises
    ------
    DatasetVersionError
        A newer version of curator published one.
    """
    for output in session.outputs:
        found = publisher_of(output)
        if found not in ("", session.config_hash) and not (output.kind == "sink" and was_restored(output.location)):
            _tell_in_turn(output, found, session)


def publisher_of(output: ShardedOutput) -> str:
    """Configuration that published an output last; empty where that is not known."""
    if output.kind == "sink":
        return standing_head(output.location).config_hash
    if not output.archive_path.is_file():
        return ""
    with suppress(MergeError), ShardArchive(output.archive_path) as archive:
        return archive.publisher
    return ""  # damage is told when it is used


def _tell_in_turn(output: ShardedOutput, other: str, session: Session) -> None:
    n_lost = sum(item.detail == absent_from(output.path, item.key) for item in session.plan.due)
    if n_lost:
        logger.warning(
            "%s was published by another pipeline, or with another configuration (%s), since this one published it: "
            "%d items of this one are no longer there, and are due again. Where both are to be kept, give each an "
            "output of its own.",
            output.path,
            other[:16],
            n_lost,
        )


def tell_replaced(output: ShardedOutput, found: str, held: Mapping[str, str], session: Session) -> None:
    """Say that the output of another configuration is replaced; aloud where the source does not have its items.

    Parameters
    ----------
    output
        The merged output.
    found
        Configuration that published it.
    held
        Versions by key of the items in it.
    session
        The session, which is about to replace it.
    """
    if not held or found in ("", session.config_hash):
        return
    foreign = [key for key in held if key not in session.listing.positions]
    if not foreign:
        logger.info("%s replaces what configuration %s published there", output.path, found[:16])
        return
    advice = " `curator versions` lists the former version, which can be restored." if output.kind == "sink" else ""
    logger.warning(
        "%s replaces the output of another pipeline, or of another configuration (%s): %d of its items, such as %r, "
        "are not in the source of this one, and are taken out. Where that is not meant, give each pipeline an output "
        "of its own.%s",
        output.path,
        found[:16],
        len(foreign),
        foreign[0],
        advice,
    )
