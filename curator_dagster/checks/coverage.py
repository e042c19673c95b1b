"""The check of how much of a dataset is there: steps of its variables that are missing, failed or provisional."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    DagsterInvalidDefinitionError,
    MetadataValue,
    TableColumn,
    TableRecord,
    TableSchema,
)

if TYPE_CHECKING:
    from curator_core.merge import Availability
    from curator_dagster.checks.builtin import Subject

Bound = float | None
"""As many steps, as a number; or a share of them, below 1; ``None`` for any number."""

_STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "max_missing": ("never_written", "missing"),
    "max_failed": ("failed",),
    "max_provisional": ("provisional",),
}
_MAX_LISTED: Final = 100
_MAX_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class CoverageCheck:
    """How many steps of a variable may be missing, failed or provisional: an asset check, for `checks=`.

    Of the slots of the published dataset, from its start to its end, also those that no file is for.

    Raises
    ------
    DagsterInvalidDefinitionError
        A bound is none, or has no such name.
    """

    max_missing: Bound = 0
    """Steps that a variable has not: no item has them, or the items have them without the variable. A whole number of
    steps, or a fraction below 1 of all of them; ``None`` for any number."""
    max_failed: Bound = 0
    """Steps of which the dataset has what an item gave before it changed, since it fails now."""
    max_provisional: Bound = None
    """Steps whose values will be replaced."""
    min_values: float = 0.0
    """Share of the values that is there at least, from 0 to 1: steps of which an item has some of the levels count in
    part."""
    variables: Mapping[str, Mapping[str, Bound]] = field(default_factory=dict)
    """Other bounds, of some variables by name: ``{"tp": {"max_missing": 0.1}}``."""
    only: tuple[str, ...] | None = None
    """The variables that are looked at; all by default."""
    is_warning: bool = False
    """Whether a dataset beyond the bounds is a warning, and no error."""
    name: str = "coverage"
    """Name of the check: two of them need different ones."""

    def __post_init__(self) -> None:
        """Raise `DagsterInvalidDefinitionError` where a bound is none."""
        own = {known: getattr(self, known) for known in (*_STATES, "min_values")}
        for where, bounds in (("", own), *((f" of {name!r}", given) for name, given in self.variables.items())):
            for known, bound in bounds.items():
                if known not in own:
                    raise DagsterInvalidDefinitionError(
                        f"CoverageCheck: {known!r}{where} is no bound: there are {', '.join(own)}."
                    )
                if not _is_bound(known, bound):
                    raise DagsterInvalidDefinitionError(f"CoverageCheck: {known}{where} cannot be {bound!r}.")
        if not self.name.isidentifier():
            raise DagsterInvalidDefinitionError(f"CoverageCheck: the name {self.name!r} is no identifier.")

    def evaluate(self, subject: Subject) -> AssetCheckResult:
        """Whether every variable of the published dataset is within its bounds."""
        found = subject.facts.availability
        if found is None:
            text = "There is no published dataset, or its sink has no places for what is missing (no `availability`)."
            return AssetCheckResult(passed=False, severity=self._severity, description=text)
        wanted = set(found.variables if self.only is None else self.only)
        unknown = sorted((wanted | self.variables.keys()) - set(found.variables))
        rows = [row for row in found.totals() if row["variable"] in wanted]
        problems = [f"the dataset has no variable {name!r}" for name in unknown]
        problems += [text for row in rows for text in self._problems(row, int(found.n_slots.sum()))]
        more = f", and {len(problems) - _MAX_NAMED} more" if len(problems) > _MAX_NAMED else ""
        return AssetCheckResult(
            passed=not problems,
            severity=self._severity,
            description="; ".join(problems[:_MAX_NAMED]) + more
            if problems
            else f"{len(rows)} variables are there as wanted, in {int(found.n_slots.sum()):,} steps of {found.dim!r}.",
            metadata={"availability": _table(found, rows), "n_problems": MetadataValue.int(len(problems))},
        )

    @property
    def _severity(self) -> AssetCheckSeverity:
        return AssetCheckSeverity.WARN if self.is_warning else AssetCheckSeverity.ERROR

    def _problems(self, row: Mapping[str, Any], n_slots: int) -> Iterator[str]:
        """What of a variable is beyond its bounds."""
        own = self.variables.get(row["variable"], {})
        for known, states in _STATES.items():
            bound = own.get(known, getattr(self, known))
            n_bad = sum(row[state] for state in states)
            if bound is not None and n_bad > (bound * n_slots if 0 < bound < 1 else bound):
                what = known.removeprefix("max_")
                yield f"{row['variable']}: {n_bad:,} of {n_slots:,} steps are {what}, {known} is {bound}"
        least = own.get("min_values", self.min_values)
        if least is not None and row["values_percent"] < round(100 * least, 2):
            yield f"{row['variable']}: {row['values_percent']}% of the values are there, min_values is {least}"


def _is_bound(name: str, bound: object) -> bool:
    if bound is None:
        return name != "min_values"
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        return False
    if name == "min_values":
        return 0 <= bound <= 1
    return bound >= 0 and (bound < 1 or bound == int(bound))


def _table(found: Availability, rows: list[dict[str, str | int | float]]) -> MetadataValue[Any]:
    columns = [TableColumn("variable", "string"), *(TableColumn(state, "int") for state in found.states)]
    columns.append(TableColumn("values_percent", "float"))
    return MetadataValue.table([TableRecord(row) for row in rows[:_MAX_LISTED]], TableSchema(columns))
