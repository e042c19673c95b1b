"""Rules that divide the items of a dataset into splits."""

from curator_core.pipeline.splits.entries import RULES, split_rule
from curator_core.pipeline.splits.rules import (
    DEFAULT_FRACTIONS,
    SplitByFolder,
    SplitByGroup,
    SplitByKey,
    SplitByList,
    SplitRule,
    check_fractions,
    split_of,
)
from curator_core.pipeline.splits.times import SplitByTime

__all__ = [
    "DEFAULT_FRACTIONS",
    "RULES",
    "SplitByFolder",
    "SplitByGroup",
    "SplitByKey",
    "SplitByList",
    "SplitByTime",
    "SplitRule",
    "check_fractions",
    "split_of",
    "split_rule",
]
