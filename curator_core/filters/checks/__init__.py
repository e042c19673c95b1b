"""Checks of values, item by item, and what they found over all items."""

from curator_core.filters.checks.filter import ValueChecksFilter
from curator_core.filters.checks.results import CheckResult, HasCheckResults

__all__ = ["CheckResult", "HasCheckResults", "ValueChecksFilter"]
