"""Which split of a dataset an item belongs to: decided by its key alone."""

from curator_core.errors import UnknownNameError
from curator_core.pipeline.splits import DEFAULT_FRACTIONS, SplitByKey, SplitRule, check_fractions, split_of

__all__ = ["DEFAULT_FRACTIONS", "OfOneSplit", "SplitByKey", "SplitRule", "check_fractions", "split_of"]


class OfOneSplit:
    """Part of a filter that takes in the items of one split, by the pipeline's rule where it has one, or all."""

    _split: str | None

    def check_split(self, rule: SplitRule | None) -> None:
        """Raise `UnknownNameError` when the pipeline has no such split."""
        names = (SplitByKey() if rule is None else rule).names
        if self._split is not None and self._split not in names:
            raise UnknownNameError.of("split", self._split, names)

    def takes_in(self, key: str, split: str | None) -> bool:
        """Whether an item's shard is merged, given its split by the rule of the pipeline, if there is one."""
        return self._split is None or (split_of(key) if split is None else split) == self._split
