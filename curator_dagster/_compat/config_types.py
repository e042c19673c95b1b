"""A number in a run's config that Dagster refuses before the run begins where it is too small."""

from __future__ import annotations

from dagster._config import ConfigScalar, ConfigScalarKind, PostProcessingError


class PositiveInt(ConfigScalar):
    """An integer of at least 1; publicly no type of config has bounds."""

    def __init__(self) -> None:
        super().__init__(key="CuratorPositiveInt", scalar_kind=ConfigScalarKind.INT, given_name="PositiveInt")

    def post_process(self, value: object) -> object:
        """Called with every value of the right kind, before anything runs."""
        if not isinstance(value, int) or value < 1:
            raise PostProcessingError(f"It must be at least 1, not {value!r}.")
        return value
