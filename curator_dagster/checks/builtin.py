"""The checks that every dataset gets: complete, without failures, finite."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue, TableColumn, TableRecord, TableSchema

from curator_core import Pipeline, Plan
from curator_core.merge import Manifest, item_version
from curator_dagster.curation.curation import Curation
from curator_dagster.metadata.item import MetadataMapping, failures_table

if TYPE_CHECKING:
    from curator_core.datasets.contents import Damage
    from curator_core.merge import DatasetFacts

MAX_LISTED = 100
"""Items that a check lists."""
MAX_NAMED = 5
"""Items that its sentence names."""


@dataclass(frozen=True)
class Subject:
    """What is checked; read when a check asks for it."""

    curation: Curation
    """Its settings."""
    pipeline: Pipeline[Any]
    """The curation's pipeline."""
    planned: Plan | None = None
    """State of every item, where it is known already."""

    @cached_property
    def plan(self) -> Plan:
        """State of every item of the source."""
        if self.planned is not None:
            return self.planned
        return self.pipeline.plan(self.curation.list_source(self.pipeline))  # an empty source is an error

    @cached_property
    def config_hash(self) -> str:
        """The pipeline's configuration."""
        return self.pipeline.config_hash

    @cached_property
    def facts(self) -> DatasetFacts:
        """What the components know of the dataset."""
        from curator_core.merge import DatasetFacts  # noqa: PLC0415 - a code location needs no NumPy

        return DatasetFacts(self.pipeline)

    @property
    def versions(self) -> dict[str, str]:
        """Item version by key of what the dataset holds; of what is completed, where the sink has no dataset."""
        if not self.facts.has_dataset:
            return Manifest(self.config_hash, self.plan.up_to_date, {}).versions
        found = self.facts.sink_output
        return {} if found is None else dict(found.component.retained_items(found.readable_path))

    def severity(self, n_missing: int, n_items: int) -> AssetCheckSeverity:
        """A warning as long as `max_missing` allows it."""
        tolerated = self.curation.tolerates(n_missing, n_items)
        return AssetCheckSeverity.WARN if tolerated else AssetCheckSeverity.ERROR


def completeness(subject: Subject) -> AssetCheckResult:
    """Whether every item of the source is in the dataset, once."""
    listing, held = subject.plan.listing, subject.versions
    missing = [key for key in listing.keys if key not in held]
    digest = subject.config_hash
    current = zip(listing.keys, listing.fingerprints, strict=True)
    n_outdated = sum(key in held and held[key] != item_version(key, print_, digest) for key, print_ in current)
    metadata: MetadataMapping = {
        "n_source": MetadataValue.int(len(listing)),
        "n_dataset": MetadataValue.int(len(held)),
        "n_missing": MetadataValue.int(len(missing)),
        "n_outdated": MetadataValue.int(n_outdated),
        "n_vanished": MetadataValue.int(len(held.keys() - listing.positions.keys())),
    }
    if missing:
        items = [subject.plan.items[listing.positions[key]] for key in missing[:MAX_LISTED]]
        metadata["missing"] = failures_table({item.key: f"{item.reason}: {item.detail}" for item in items})
    return AssetCheckResult(
        passed=not missing,
        severity=subject.severity(len(missing), len(listing)),
        description=f"{len(missing)} of {len(listing)} items are not in the dataset: {_named(missing)}"
        if missing
        else f"All {len(listing)} items are in the dataset.",
        metadata=metadata,
    )


def failures(subject: Subject) -> AssetCheckResult:
    """Whether items failed when they were processed last."""
    n_items, failed = subject.facts.recorded()
    metadata: MetadataMapping = {"n_failed": MetadataValue.int(len(failed)), "n_items": MetadataValue.int(n_items)}
    if failed:
        metadata["failed"] = failures_table(dict(list(failed.items())[:MAX_LISTED]))
    return AssetCheckResult(
        passed=not failed,
        severity=subject.severity(len(failed), n_items),
        description=f"{len(failed)} of {n_items} items failed: {_named(failed)}" if failed else "No item failed.",
        metadata=metadata,
    )


def finite_values(subject: Subject) -> AssetCheckResult:
    """Whether the floating variables of the dataset hold NaN or infinities."""
    from curator_core.merge import NonFinite  # noqa: PLC0415 - as above

    found = NonFinite.of(subject.facts, lambda: subject.versions)
    n_bad = sum(sum(items.values()) for items in found.counts.values())
    rows = [(name, key, n) for name, items in found.counts.items() for key, n in items.items()]
    metadata: MetadataMapping = {
        "n_nonfinite": MetadataValue.int(n_bad),
        "n_examined": MetadataValue.int(len(found.examined)),
        "examined": MetadataValue.text(", ".join(sorted(found.examined)[:MAX_LISTED])),
    }
    if rows:
        columns = [TableColumn("variable", "string"), TableColumn("key", "string"), TableColumn("n_nonfinite", "int")]
        records = [TableRecord({"variable": name, "key": key, "n_nonfinite": n}) for name, key, n in rows[:MAX_LISTED]]
        metadata["nonfinite"] = MetadataValue.table(records, TableSchema(columns))
        text = f"{n_bad} numbers are NaN or infinite, in " + "; ".join(
            f"{name} of {_named(items)}" for name, items in list(found.counts.items())[:MAX_NAMED]
        )
        return AssetCheckResult(passed=False, description=text, metadata=metadata)
    if found.unexamined or not (found.examined or subject.facts.schema):
        text = (
            f"{_named(sorted(found.unexamined)) or 'The dataset'} could not be examined: no statistics of all items "
            "are gathered right before the sink, and the sink has no methods `schema` and `values`."
        )
        return AssetCheckResult(passed=False, severity=AssetCheckSeverity.WARN, description=text, metadata=metadata)
    text = f"All numbers of {len(found.examined)} variables are finite."
    return AssetCheckResult(passed=True, description=text, metadata=metadata)


def intact(subject: Subject) -> AssetCheckResult:
    """Whether every file of the dataset is what was published; reads them all."""
    from curator_core.merge import verify_dataset  # noqa: PLC0415 - as above

    output = subject.facts.sink_output
    if output is None:
        return AssetCheckResult(passed=False, description="The sink has published no dataset.")
    return _damages(verify_dataset(output.path), "Every file is what was published.")


def as_sources(subject: Subject) -> AssetCheckResult:
    """Whether every item of the dataset is what its source gives now; processes them all again."""
    from curator_core.merge import verify_sources  # noqa: PLC0415 - as above

    if subject.facts.sink_output is None:
        return AssetCheckResult(passed=False, description="The sink has published no dataset.")
    return _damages(list(verify_sources(subject.pipeline)), "Every item is what its source gives.")


def values(subject: Subject) -> AssetCheckResult:
    """Whether values are what the pipeline's `ValueChecksFilter` expects."""
    results = subject.facts.check_results
    if not results:
        text = "The pipeline checks no values, or has not published what it found: add a ValueChecksFilter to it."
        return AssetCheckResult(passed=False, severity=AssetCheckSeverity.WARN, description=text)
    bad = [result for result in results if not result.is_passed]
    names = ("field", "expected", "n_items", "n_bad_items", "n_bad_values", "first")
    columns = TableSchema([TableColumn(name, "int" if name.startswith("n_") else "string") for name in names])
    records = [
        TableRecord(
            {
                **{name: getattr(result, name) for name in names[:-1]},
                "first": ": ".join(result.examples[0]) if result.examples else "",
            }
        )
        for result in results[:MAX_LISTED]
    ]
    text = "; ".join(f"{r.field}: {r.n_bad_items} of {r.n_items} items, expected {r.expected}" for r in bad[:MAX_NAMED])
    unseen = [f"{result.field} {result.check}" for result in results if not result.n_items]
    fine = f"All values are as expected by {len(results) - len(unseen)} checks."
    if unseen:
        fine += f" No item was looked at for {', '.join(unseen[:MAX_NAMED])}."
    return AssetCheckResult(
        passed=not bad,
        severity=AssetCheckSeverity.WARN,  # what fails an item is in no dataset
        description=text or fine,
        metadata={"checks": MetadataValue.table(records, columns), "n_bad": MetadataValue.int(len(bad))},
    )


def _damages(found: Sequence[Damage], fine: str) -> AssetCheckResult:
    if not found:
        return AssetCheckResult(passed=True, description=fine)
    columns = TableSchema([TableColumn(name, "string") for name in ("file", "what", "items")])
    records = [TableRecord({"file": d.file, "what": d.what, "items": ", ".join(d.items)}) for d in found[:MAX_LISTED]]
    items = sorted({key for damage in found for key in damage.items})
    return AssetCheckResult(
        passed=False,
        description=f"damages: {len(found)}; items: {len(items)}, {_named(items)}",
        metadata={"damages": MetadataValue.table(records, columns), "n_damages": MetadataValue.int(len(found))},
    )


ON_REQUEST: Mapping[str, Callable[[Subject], AssetCheckResult]] = {
    check.__name__: check for check in (intact, as_sources, values)
}
"""The built-in checks that a dataset gets where they are named."""

BUILT_IN: Mapping[str, Callable[[Subject], AssetCheckResult]] = {
    check.__name__: check for check in (completeness, failures, finite_values)
}
"""The built-in checks by name."""


def _named(keys: Collection[str]) -> str:
    more = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return ", ".join(list(keys)[:MAX_NAMED]) + more
