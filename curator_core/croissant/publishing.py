"""The record of a dataset that a pipeline publishes: written with it, and compared with the one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.croissant.record import RecordFacts, made_record, record_name
from curator_core.formats.record_file import encoded_record, is_ours, written_record
from curator_core.storage.base import OutputLocation

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline


def pipeline_facts(
    pipeline: Pipeline[Any],
    location: OutputLocation,
    data_version: str,
    *,
    n_items: int,
    splits: Mapping[str, str],
    config_hash: str,
) -> RecordFacts:
    """What the record says of a version that a pipeline publishes.

    Parameters
    ----------
    pipeline
        The pipeline; its statistics are published.
    location
        Where the dataset is published.
    data_version, n_items, splits
        The version, the number of items in it, and the split of each.
    config_hash
        Configuration of the pipeline.
    """
    from curator_core.merge.facts import DatasetFacts  # noqa: PLC0415 - needs NumPy, which a plan does not

    facts = DatasetFacts(pipeline)
    split = None if facts.statistics_output is None else facts.statistics_output.component.arguments.get("split")
    return RecordFacts(
        name=location.work_path.stem,
        data_version=data_version,
        n_items=n_items,
        splits=tuple(sorted({name for name in splits.values() if name})),
        made_by=" → ".join(part.component_name() for part in pipeline.components),
        config_hash=config_hash,
        words=pipeline.dataset,
        statistics=facts.statistics,
        taken_over="" if split is None else f"Of the split {split}.",
    )


def write_record(staged: Path, facts: RecordFacts) -> None:
    """Write the record into a staged dataset; not into one that is a single file, or of no layout of curator."""

    def read(name: str) -> bytes:
        return (staged / name).read_bytes()

    name = record_name(read)
    if name and not (staged / name).exists():
        (staged / name).write_bytes(encoded_record(made_record(read, facts)))


def is_recorded_otherwise(location: OutputLocation, facts: RecordFacts) -> bool:
    """Whether the record that is there is another one, if it is curator's.

    One that was published without stays so until it changes.
    """
    found = written_record(location)
    if found is None:
        return facts.words is not None and bool(record_name(location.read))
    if not is_ours(found[1]):
        return False
    return found[1] != encoded_record(made_record(location.read, facts))
