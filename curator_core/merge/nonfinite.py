"""The search for NaN and infinite numbers in a published dataset."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np

from curator_core.merge.facts import DatasetFacts


@dataclass(frozen=True)
class NonFinite:
    """Where a dataset has NaN or infinite numbers."""

    examined: set[str]
    """Variables that were looked at."""
    unexamined: set[str]
    """Floating variables of which nothing can be known."""
    counts: dict[str, dict[str, int]]
    """How many by variable and by key of the item."""

    @classmethod
    def of(cls, facts: DatasetFacts, keys: Callable[[], Iterable[str]]) -> NonFinite:
        """Look at the statistics where they have a variable, else at the dataset's values, piece by piece.

        Parameters
        ----------
        facts
            Of a published dataset.
        keys
            Gives the keys of the items in it; called when statistics say that there is something to be found.
        """
        floating = {variable.name for variable in facts.schema if _is_floating(variable.dtype)}
        known = {field.name: field for field in facts.statistics if facts.are_statistics_of_the_dataset}
        told = {name for name in known if name in floating or not facts.schema}
        bad = {name for name in told if known[name].n_nonfinite}
        counts = _from_statistics(facts, keys, bad)
        if facts.can_read_values and floating - told:
            counts |= _from_values(facts, floating - told)
            told |= floating
        return cls(told, floating - told, counts)


def _from_statistics(
    facts: DatasetFacts, keys: Callable[[], Iterable[str]], names: Collection[str]
) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {name: {} for name in sorted(names)}
    if not names:
        return counts
    for key, fields in facts.item_statistics(list(keys())):
        for field in fields:
            if field.name in counts and field.n_nonfinite:
                counts[field.name][key] = field.n_nonfinite
    return counts


def _from_values(facts: DatasetFacts, names: Collection[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    found = facts.sink_output
    assert found is not None  # noqa: S101 - can_read_values
    for key, name, values in found.component.values(found.readable_path, sorted(names)):
        n_bad = int(values.size - np.count_nonzero(np.isfinite(values)))
        if n_bad:
            items = counts.setdefault(name, {})
            items[key] = items.get(key, 0) + n_bad
    return counts


def _is_floating(dtype: str) -> bool:
    try:
        return np.dtype(dtype).kind in "fc"
    except TypeError:  # a type of the sink's own
        return False
