"""Merging: shards and retained state of all completed items into the published outputs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.croissant.publishing import is_recorded_otherwise, pipeline_facts, write_record
from curator_core.datasets.history import History, finish_publication, keep_former, record_publication
from curator_core.datasets.manifest import announced_manifest, published_manifest, standing_head
from curator_core.datasets.workers import encoding_in
from curator_core.engine.failure import describe
from curator_core.errors import ConfigError, CuratorError, DatasetReplacedError, MergeError
from curator_core.interruption import is_interruption
from curator_core.merge.archive import ShardArchive, ShardedOutput, content_signature
from curator_core.merge.kept import kept_of_failed, keys_of, retained_failed, with_kept
from curator_core.merge.publication import Manifest, PublishedDataset, Tolerance, manifest_location
from curator_core.pipeline.abilities import MergesContents, RetainsSplits, is_taken_in
from curator_core.pipeline.components import MergeItem, ShardedFilter, Sink, overrides, shard_path
from curator_core.redaction import Redactor
from curator_core.session.compaction import ItemState, item_states
from curator_core.session.listing import Listing
from curator_core.session.overwriting import tell_replaced
from curator_core.session.plan import Plan
from curator_core.session.ungathered import is_as_declared
from curator_core.storage.atomic import remove
from curator_core.storage.disk import reason
from curator_core.storage.written import file_clock_ns, is_as_written

if TYPE_CHECKING:
    from curator_core.session.session import Session

logger = logging.getLogger("curator")

_MAX_NAMED = 5


def publish_outputs(session: Session, *, keep_shards: bool, max_missing: float | None) -> PublishedDataset:
    """Merge all completed items, and say what is published: the outputs, the items in them, and what is missing.

    Raises
    ------
    MergeError
        More is missing than may be, see `gather_pipeline`, or the outputs cannot be merged; those that are there stay.
    OutputError
        The manifest cannot be written.
    """
    plan = session.plan
    if max_missing is not None and not Tolerance(max_missing).allows(len(plan.due), len(plan.listing)):
        raise _too_much(session, plan.missing, max_missing)
    _say_absent(session)
    datasets = [output for output in session.outputs if output.kind == "sink"]
    for output in datasets:
        standing_head(output.location)  # one of a newer curator is not written over
    manifest = _manifest(session, plan)
    paths = merge_outputs(session, manifest, keep_shards=keep_shards)
    if not datasets or not (paths or manifest.fingerprints):
        return PublishedDataset(paths, manifest, None)
    location = datasets[0].location
    place = manifest_location(datasets[0])
    changes = manifest.changes_from(place, location)
    record = record_publication(location, manifest, changes=changes) if location.exists() else None
    manifest.write(place, location, changes=changes)
    announced = announced_manifest(location)
    announced.remove_leftovers()
    announced.remove()
    History.read(location).expire(session.keep_versions)
    n_items, n_missing = len(manifest.fingerprints), len(manifest.missing)
    logger.info("Data version %s: %d items, %d missing", manifest.data_version, n_items, n_missing)
    return PublishedDataset(paths, manifest, place.path, changes, record)


def _manifest(session: Session, plan: Plan) -> Manifest:
    """What is in the outputs: what is up to date, and what else is recorded as completed, in the version of then."""
    fingerprints, missing = plan.up_to_date, plan.missing
    if missing and session.outputs:
        positions, held = plan.listing.positions, dict(fingerprints)
        for state in item_states(session, session.outputs[-1]):
            if state.key in missing and state.key in positions:
                held[state.key] = state.record.fingerprint
                if state.record.fingerprint == plan.listing.fingerprints[positions[state.key]]:
                    del missing[state.key]  # its output was gone, and is put together anew
        fingerprints = {key: held[key] for key in plan.listing.keys if key in held}
    rule, words = session.pipeline.split, session.pipeline.dataset
    recorded = None if rule is None else rule.recorded()
    said = None if words is None else words.described()
    return Manifest(session.config_hash, fingerprints, missing, session.splits(fingerprints), recorded, said)


def _say_absent(session: Session) -> None:
    """A rule that names items which there are not may be meant, or a slip: it never goes unsaid."""
    rule = session.pipeline.split
    if rule is not None and (absent := rule.absent(session.listing.positions)):
        logger.warning("The rule of splits names %d items that the source has not: %s", len(absent), _shortened(absent))


def _too_much(session: Session, missing: Mapping[str, str], max_missing: float) -> MergeError:
    what = ", ".join(output.path for output in session.outputs)
    reasons = "; ".join(f"{key}: {why}" for key, why in list(missing.items())[:_MAX_NAMED])
    more = f"; and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
    return MergeError(
        f"{what}: nothing is published, what is there stays as it was. {len(missing)} of {len(session.listing)} items "
        f"are missing, more than max_missing={max_missing} allows: {reasons}{more}. "
        "Run the pipeline with resume=True to complete it."
    )


def merge_outputs(session: Session, manifest: Manifest, *, keep_shards: bool) -> list[str]:
    """Merge the shards of every completed item into the published outputs; those that were merged, filters first.

    Parameters
    ----------
    session
        The session.
    manifest
        What will be in them.
    keep_shards
        Leave the loose shards where they are.

    Raises
    ------
    MergeError
        The state of a completed item is nowhere to be found, or the output cannot be written; the
        published outputs stay as they were.
    """
    begun_ns = file_clock_ns()
    kept = _kept(session)
    merged = [o.path for o in session.outputs if _is_merged(o, session, manifest, (begun_ns, kept), keep=keep_shards)]
    if merged:
        session.invalidate()
    if kept and (still := _kept(session)) != kept:  # seldom: the dataset let some go, being on another grid now
        for output in session.outputs[:-1]:
            _is_merged(output, session, manifest, (begun_ns, still), keep=keep_shards)
    return merged


def _is_merged(
    output: ShardedOutput, session: Session, manifest: Manifest, given: tuple[int, Mapping[str, str]], *, keep: bool
) -> bool:
    """Merge one output, where anything of it is completed."""
    states = [state for state in item_states(session, output) if state.index >= 0]
    if states:
        _tell_missing(output, keys_of(output, (state.key for state in states), given[1]), session.listing)
        _gather_output(output, states, session, manifest, given, keep_shards=keep)
    elif output.location.exists():
        _tell_nothing(output, session.listing)
    return bool(states)


def _kept(session: Session) -> dict[str, str]:
    """Version by key of what the datasets keep of items that are not completed."""
    completed = {state.key for state in item_states(session, session.outputs[-1])} if session.outputs else set()
    return kept_of_failed(session.outputs, session.config_hash, completed, session.listing.positions)


def _tell_missing(output: ShardedOutput, there: set[str], listing: Listing) -> None:
    """An output without some of the source's items may be meant, but never goes unsaid."""
    if len(there) < len(listing):
        missing = [key for key in listing.keys if key not in there]
        before = _n_published(output)
        logger.warning(
            "%s is put together from %d of %d items%s; not processed, or failed: %s. "
            "Run the pipeline with resume=True to complete it.",
            output.path,
            len(there),
            len(listing),
            f" (it held {before} before)" if before > len(there) else "",
            _shortened(missing),
        )


def _tell_nothing(output: ShardedOutput, listing: Listing) -> None:
    """A dataset of nothing replaces no other: inputs that are gone are seldom meant."""
    why = f"none of {len(listing)} items is complete" if len(listing) else "the source lists no item"
    logger.warning(
        "%s stays as it was, with the items of the last publication: %s. Remove it where that is meant.",
        output.path,
        why,
    )


@contextmanager
def _explaining_errors(output: ShardedOutput) -> Iterator[None]:
    """Say which output cannot be merged, and by whom: what a component raises says neither."""
    try:
        yield
    except (CuratorError, OSError):
        raise
    except BaseException as exc:
        if is_interruption(exc):
            raise
        name, text = output.component.component_name(), Redactor(output.component.secret_values())(describe(exc))
        raise MergeError(f"{output.path} cannot be merged, it stays as it was: {name} raised {text}.") from exc


def _n_published(output: ShardedOutput) -> int:
    """Number of items in the output that is there now, as far as it says."""
    return max((len(place) for place in output.retained()), default=0)


def _gather_output(
    output: ShardedOutput,
    states: list[ItemState],
    session: Session,
    manifest: Manifest,
    given: tuple[int, Mapping[str, str]],
    *,
    keep_shards: bool,
) -> None:
    begun_ns, kept = given
    output.location.recover()
    output.location.remove_leftovers()
    loose = [(state, state.loose) for state in states if state.loose is not None]
    lost = [state.key for state in states if state.is_lost]
    if lost:
        raise _lost(output, lost)
    try:
        with _explaining_errors(output):
            if output.kind == "filter":
                _merge_archived(output, states, begun_ns, kept, session)
            else:
                _merge_dataset(output, states, session, manifest)
    except OSError as exc:
        why = reason(exc).removesuffix(".")
        raise MergeError(
            f"{output.path} cannot be written, it stays as it was: {why}. Nothing that was processed is lost: put that "
            "right, and gather again."
        ) from exc
    keep_shards = keep_shards or bool(getattr(output.component, "keep_shards", False))  # as other packages have it
    merged = [s for s in states if s.path != output.path and not (keep_shards and s.loose)]
    session.writer.replace_paths(
        output.kind, output.order, [(state.index, state.path, output.path) for state in merged]
    )
    if output.kind == "sink":
        remove(output.archive_path)  # the dataset holds it all
        remove(output.segments_path)
    if keep_shards:
        return
    for state, path in loose:
        if not state.is_lost:
            remove(path)
    _remove_orphans(output, session, begun_ns)


def _merge_archived(
    output: ShardedOutput, states: list[ItemState], begun_ns: int, kept: Mapping[str, str], session: Session
) -> None:
    """Merge through the archive, which retains every item's shard."""
    wanted, positions = {state.key: state.version for state in states}, session.listing.positions
    loose = [(state.key, state.version, state.loose) for state in states if state.loose is not None]
    output.archive_path.parent.mkdir(parents=True, exist_ok=True)
    with ShardArchive(output.archive_path, output.path) as archive:
        if loose:
            archive.absorb(loose)
        held = archive.versions()
        lost = [key for key, version in wanted.items() if held.get(key) != version]
        if lost:
            raise _lost(output, lost)
        wanted = with_kept(wanted, kept, held, positions)
        splits = None if session.pipeline.split is None else session.splits(wanted)
        taken = {key: version for key, version in wanted.items() if is_taken_in(output.component, key, splits)}
        signature = content_signature(taken)
        if not loose and archive.has_published(signature, output.location):
            return
        tell_replaced(output, archive.publisher, archive.versions(), session)
        with output.location.publication() as temporary:
            _merge_filter(output, {key: positions[key] for key in taken}, archive, temporary)
        archive.keep_only(wanted)
        archive.publish(signature, output.location, begun_ns, session.config_hash)


def _merge_filter(output: ShardedOutput, items: Mapping[str, int], archive: ShardArchive, temporary: Path) -> None:
    step = output.component
    if isinstance(step, ShardedFilter) and isinstance(step, MergesContents):
        step.merge_contents(map(archive.content, items), str(temporary))
        return
    with output.location.scratch() as folder:
        merged = folder / output.location.work_path.name  # some writers go by the suffix
        shards = [shard_path(merged, index, getattr(step, "shard_suffix", "")) for index in items.values()]
        for key, path in zip(items, shards, strict=True):
            archive.extract(key, path)
        step.merge(shards, str(merged))
        if not merged.exists():
            raise MergeError(
                f"{output.path} cannot be merged: {type(step).__name__}.merge() wrote nothing at {merged}."
            )
        merged.replace(temporary)


def _merge_dataset(output: ShardedOutput, states: list[ItemState], session: Session, manifest: Manifest) -> None:
    """Merge a dataset that retains its items itself; the archive holds shards that were absorbed meanwhile.

    The version that was there is kept as a former one.
    """
    location = output.location
    retained = output.component.retained_items(output.readable_path) if location.exists() else {}
    archived: dict[str, str] = {}
    if output.archive_path.exists():
        with ShardArchive(output.archive_path, output.path) as archive:
            archived = archive.versions()
    lost = [s.key for s in states if s.loose is None and s.version not in (archived.get(s.key), retained.get(s.key))]
    if lost:
        raise _lost(output, lost)
    wanted = {state.key: state.version for state in states}
    splits = session.splits(wanted)
    finish_publication(location, retained)
    held = _retained_splits(output, retained) if retained else {}
    is_unchanged = all(s.loose is None and archived.get(s.key) != s.version for s in states)
    is_same = list(retained.items()) == list(wanted.items()) and _named(held or {}) == _named(splits)
    is_same &= retained_failed(output).keys() <= session.listing.positions.keys() and is_as_declared(output)
    version = content_signature(wanted, splits)
    known: dict[str, Any] = {"n_items": len(wanted), "splits": splits, "config_hash": session.config_hash}
    facts = pipeline_facts(session.pipeline, location, version, **known)
    is_same = is_same and not (location.exists() and is_recorded_otherwise(location, facts))
    if not (is_unchanged and is_same):
        if overrides(output.component, Sink.set_config_hash):
            output.component.set_config_hash(session.config_hash)
        is_known = held is not None or not splits
        tell_replaced(output, standing_head(location).config_hash, retained, session)
        former = keep_former(location, retained, held or {}, session.keep_versions) if is_known else ""
        with location.scratch() as folder, location.publication(version=version, former=former) as temporary:
            items = _merge_items(output, states, archived, splits, folder)
            with encoding_in(output.segments_path, session.encode):
                output.component.merge_items(items, output.readable_path if retained else None, str(temporary))
            write_record(temporary, facts)
            manifest.announce(location)


def _named(splits: Mapping[str, str]) -> dict[str, str]:
    """Splits of those items that are in one."""
    return {key: name for key, name in splits.items() if name}


def _retained_splits(output: ShardedOutput, retained: Mapping[str, str]) -> dict[str, str] | None:
    """Splits of the items that a dataset holds; ``None`` where neither it nor its manifest says them."""
    if isinstance(output.component, RetainsSplits):
        found: Mapping[str, str] = output.component.retained_splits(output.readable_path)
    else:
        try:
            manifest = published_manifest(output.location)
        except (ConfigError, DatasetReplacedError):  # after a kill between the two
            return None
        if manifest.versions != retained:
            return None
        found = manifest.splits
    return dict(found)


def _merge_items(
    output: ShardedOutput,
    states: Sequence[ItemState],
    archived: dict[str, str],
    splits: Mapping[str, str],
    folder: Path,
) -> list[MergeItem]:
    items, merged = [], folder / output.location.work_path.name
    with ShardArchive(output.archive_path, output.path) if archived else nullcontext() as archive:
        for position, state in enumerate(states):
            shard = state.loose
            if archive is not None and shard is None and archived.get(state.key) == state.version:
                shard = Path(shard_path(merged, state.index, output.component.shard_suffix))
                archive.extract(state.key, shard)
            split = splits.get(state.key, "")
            items.append(MergeItem(position, state.key, state.record.fingerprint, state.version, shard, split))
    return items


def _remove_orphans(output: ShardedOutput, session: Session, begun_ns: int) -> None:
    """Delete shards, whole or half-written, that a killed run left behind; nothing recorded refers to them.

    What was written since this gathering began is of a run that began after it. Another configuration's shards
    are its own to gather.
    """
    found = [path for path in output.loose_shards(unfinished=True) if path.lstat().st_mtime_ns < begun_ns]
    if not found:
        return
    others = session.store.files_of_other_configs(session.config_hash)
    recorded = {os.path.abspath(path): mark for path, mark in others}  # noqa: PTH100 - links stay
    for path in found:
        place = os.path.abspath(path)  # noqa: PTH100 - links stay
        if place not in recorded or not is_as_written(place, recorded[place]):
            remove(path)


def _lost(output: ShardedOutput, keys: list[str]) -> MergeError:
    return MergeError(
        f"{output.path} cannot be merged: there is no shard of {_shortened(keys)}. "
        "Run the pipeline again with resume=True; it processes what is missing."
    )


def _shortened(keys: list[str]) -> str:
    return ", ".join(keys[:_MAX_NAMED]) + (f" and {len(keys) - _MAX_NAMED} more" if len(keys) > _MAX_NAMED else "")
