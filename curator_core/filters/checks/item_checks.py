"""What filters have in common that check one item after the other."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from curator_core.errors import ComponentError
from curator_core.filters.checks.results import CheckResult, Severity, read_results
from curator_core.filters.checks.rules import Finding
from curator_core.filters.shards import JSONShardsFilter
from curator_core.filters.values.fields import FieldError
from curator_core.pipeline.current import PROCESSED

logger = logging.getLogger("curator")


class ItemChecksFilter(JSONShardsFilter):
    """A filter that keeps what its checks found in each item, by the names of the checks."""

    _found: dict[str, Any]
    """What was found in the item at hand."""

    def _record(
        self, found: dict[str, Any], name: str, finding: Finding | None, *, of: str, expected: str, severity: Severity
    ) -> None:
        """Keep that a check looked at an item, and what it found.

        Raises
        ------
        FieldError
            It found something, and `severity` is ``fail``.
        """
        state = found.setdefault(name, {"n_bad": 0, "text": ""})
        if finding is None:
            return
        text = f"{of}: {finding.text}; expected {expected}"
        if severity == "fail":
            raise FieldError(text)
        logger.warning("%s: %s", self.component_name(), text)
        state["n_bad"] += finding.n_bad
        state["text"] = state["text"] or finding.text

    def _failed(self, why: str) -> ComponentError:
        return ComponentError(f"{self.component_name()}: {why}.", component=self.component_name())

    def write_shard(self, path: str) -> None:
        """Write what was found in the last item, the same bytes for the same values."""
        item = PROCESSED.get(None)
        data = {"format": self.shard_format, "key": "" if item is None else item.key, "checks": self._found}
        Path(path).write_text(json.dumps(data, sort_keys=True), encoding="utf-8")

    def check_results(self, output_path: str) -> list[CheckResult]:
        """What was found, as it was published."""
        return read_results(output_path)
