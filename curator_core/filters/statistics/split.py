"""Which split of a dataset an item belongs to: decided by its key alone."""

from curator_core.pipeline.splits import DEFAULT_FRACTIONS, SplitByKey, SplitRule, check_fractions, split_of

__all__ = ["DEFAULT_FRACTIONS", "SplitByKey", "SplitRule", "check_fractions", "split_of"]
