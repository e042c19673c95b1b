"""Filter that checks values on their way, and records what it found."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.filters.checks.item_checks import ItemChecksFilter
from curator_core.filters.checks.results import EXAMPLES, CheckResult, Severity, write_results
from curator_core.filters.checks.rules import RULES, Rule
from curator_core.filters.shards import using_shard
from curator_core.filters.values.fields import FieldError, Fields
from curator_core.filters.values.kinds import fields_of
from curator_core.filters.values.stepwise import Missing

logger = logging.getLogger("curator")

Expectations = Mapping[str, Any]


class ValueChecksFilter(ItemChecksFilter):
    """Checks what values are expected to be; they pass unchanged, or their item fails.

    What is expected of a field is a mapping, or a list of them:

    ``range``
        A low and a high end, of which one may be null.
    ``allowed``
        A list of values.
    ``monotonic``
        ``increasing``, ``decreasing`` or ``either``, without equal neighbours; along the first dimension.
    ``max_nan``
        Largest share of NaN; the other checks do not look at NaN.
    ``max_null``
        Largest share of missing values of a column of a table; the other checks do not look at them.
    ``pattern``
        A regular expression that every text matches as a whole.
    ``units``
        A unit, however it is spelled.
    ``severity``
        ``fail``, the default: an item that does not pass fails. ``warn``: it is recorded and logged.

    The output is a JSON file with one entry per field and check: what was expected, how many items and values did not
    pass, and the first of them. Dagster shows it as the asset check ``values``, where that is named.

    Parameters
    ----------
    output_path
        File of the results, ending in ``.json``.
    expected
        What is expected, by field; coordinates, too.
    missing
        ``fail``: an item without one of the fields fails. ``ignore``: it does not.

    Raises
    ------
    ConfigError
        Something expected is no such expectation.

    Examples
    --------
    >>> step = ValueChecksFilter("checks.json", {"t": {"range": [180, 340], "units": "K"}})
    """

    name: ClassVar[str] = "value_checks"
    description: ClassVar[str] = "Ranges, allowed values, order, NaN and units, checked item by item"
    checks_arguments: ClassVar[bool] = True
    shard_format: ClassVar[str] = "curator-value-checks-1"

    def __init__(
        self,
        output_path: str,
        expected: Mapping[str, Expectations | Sequence[Expectations]],
        *,
        missing: Missing = "fail",
    ) -> None:
        self._output_path = str(output_path)
        self._missing = missing
        try:
            self._checks = [check for field, given in expected.items() for check in _checks(field, given)]
        except ConfigError as exc:
            raise type(exc)(f"{self.name}: {str(exc).rstrip('.')}.") from None
        if not self._checks:
            raise ConfigError(f"{self.name}: expected says nothing.")
        self._found: dict[str, Any] = {}

    def __call__(self, items: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Pass values on and check them.

        Raises
        ------
        ComponentError
            A value does not pass, or a field is not there.
        """
        self._found = {}  # here, not in the generator, which may never be started
        return self._observe(items, self._found)

    def _observe(self, items: Iterator[Any], found: dict[str, Any]) -> Generator[Any, None, None]:
        n_values = 0
        for value in items:
            try:
                self._examine(fields_of(value), found)
            except FieldError as exc:
                raise self._failed(f"value {n_values}: {exc}") from exc
            n_values += 1
            yield value
        lacking = dict.fromkeys(check.field for check in self._checks if str(check) not in found)
        if lacking and n_values and self._missing == "fail":
            raise self._failed(f"no value of the item has {', '.join(map(repr, lacking))}")

    def _examine(self, fields: Fields, found: dict[str, Any]) -> None:
        known = set(fields.known())
        for check in self._checks:
            if check.field not in known:
                continue
            finding = check.rule.find(fields, check.field)
            of = f"field {check.field!r}"
            self._record(found, str(check), finding, of=of, expected=check.expected, severity=check.severity)

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Join what was found in all items.

        Raises
        ------
        MergeError
            A shard is damaged.
        """
        totals = {str(check): _Total() for check in self._checks}
        for position, content in enumerate(contents):
            with using_shard(position, self.name):
                data = self.restored(content)
                for name, state in data["checks"].items():
                    totals[name].add(data["key"], int(state["n_bad"]), str(state["text"]))
        results = [check.result(totals[str(check)]) for check in self._checks]
        write_results(output_path, self.shard_format, results)


@dataclass(frozen=True)
class _Check:
    """One expectation of a field."""

    field: str
    rule: Rule
    severity: Severity

    @property
    def expected(self) -> str:
        return f"{self.rule.check} {self.rule.expected}"

    def __str__(self) -> str:
        return f"{self.field}: {self.expected} ({self.severity})"

    def result(self, total: _Total) -> CheckResult:
        """What was found over all items."""
        counts = (total.n_items, total.n_bad_items, total.n_bad_values)
        return CheckResult(
            self.field, self.rule.check, self.expected, self.severity, *counts, examples=tuple(total.examples)
        )


class _Total:
    """What one check found over all items."""

    def __init__(self) -> None:
        self.n_items = self.n_bad_items = self.n_bad_values = 0
        self.examples: list[tuple[str, str]] = []

    def add(self, key: str, n_bad: int, text: str) -> None:
        self.n_items += 1
        self.n_bad_items += n_bad > 0
        self.n_bad_values += n_bad
        if n_bad and len(self.examples) < EXAMPLES:
            self.examples.append((key, text))


def _checks(field: str, given: Expectations | Sequence[Expectations]) -> Iterator[_Check]:
    for expectations in [given] if isinstance(given, Mapping) else given:
        severity = expectations.get("severity", "fail")
        if severity not in get_args(Severity):
            raise ConfigError(f"expected[{field!r}]: severity must be warn or fail, not {severity!r}")
        rest = {name: value for name, value in expectations.items() if name != "severity"}
        if not rest:
            raise ConfigError(f"expected[{field!r}] expects nothing; it takes {', '.join(RULES)}")
        for name, value in rest.items():
            if name not in RULES:
                raise UnknownNameError(f"expected[{field!r}]: {UnknownNameError.of('check', name, RULES)}")
            try:
                yield _Check(field, RULES[name](value), severity)
            except ConfigError as exc:
                raise ConfigError(f"expected[{field!r}]: {exc}") from None
