"""What checks of values found, over all items of a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

Severity = Literal["warn", "fail"]
"""What is done with an item that does not pass: it is recorded, or it fails."""

EXAMPLES: Final = 10
"""What does not pass, of which a result names the first."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check of one field found."""

    field: str
    """The field."""
    check: str
    """What is checked: ``range``, ``allowed``, ``monotonic``, ``max_nan``, ``max_null``, ``pattern`` or ``units``; of a
    table ``unique`` and ``row_count``, and of a mesh what `MeshChecksFilter` lists, too."""
    expected: str
    """What is expected, for people."""
    severity: Severity
    """What is done with an item that does not pass; one that failed is in no dataset."""
    n_items: int
    """Items that have the field, or of a mesh what is checked: 0 where nothing was looked at."""
    n_bad_items: int
    """Items that did not pass."""
    n_bad_values: int
    """Numbers that did not pass, where they can be counted one by one."""
    examples: tuple[tuple[str, str], ...] = ()
    """Key and finding of the first items that did not pass."""

    @property
    def is_passed(self) -> bool:
        """Whether every item passed."""
        return self.n_bad_items == 0


def write_results(path: str | Path, format_name: str, results: Iterable[CheckResult], **about: int) -> None:
    """Write what checks found as JSON, the same bytes for the same results."""
    content = {"format": format_name, **about, "checks": [asdict(result) for result in results]}
    Path(path).write_text(f"{json.dumps(content, indent=1)}\n", encoding="utf-8")


def read_results(path: str | Path) -> list[CheckResult]:
    """What `write_results` wrote."""
    rows = json.loads(Path(path).read_text(encoding="utf-8"))["checks"]
    return [CheckResult(**row | {"examples": tuple(map(tuple, row["examples"]))}) for row in rows]


@runtime_checkable
class HasCheckResults(Protocol):
    """A `ShardedFilter` that checks values, beyond the file that it writes."""

    def check_results(self, output_path: str) -> list[CheckResult]:
        """What its checks found, given the merged output."""
