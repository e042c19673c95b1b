"""What sinks of datasets have in common: they know the items of what stands at their output."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol, TypeVar

from curator_core.errors import ComponentError, ConfigError
from curator_core.pipeline.components import ShardedSink
from curator_core.storage.locations import location_of
from curator_core.storage.objects.stores import Options, give_options, without_public

T = TypeVar("T")


class HoldsItems(Protocol):
    """A published dataset that says what it holds of each item."""

    def versions(self) -> Mapping[str, str]:
        """Item version by key, in order."""

    def splits(self) -> Mapping[str, str]:
        """Split by key; empty of items in none, or left out."""


class PlacedSink(ShardedSink[T]):
    """A sink of one dataset, in a folder or in a bucket, there with credentials of its own or of the environment.

    Parameters
    ----------
    output_path
        The dataset, a path or a URL.
    storage_options
        Credentials and settings for what is published in the output's folder of a bucket.

    Raises
    ------
    ConfigError
        There are options, and the output is no URL of an object.
    """

    def __init__(self, output_path: str, storage_options: Options | None = None) -> None:
        self._output = str(output_path)
        if storage_options:
            give_options(self._output, storage_options)

    @property
    def output_path(self) -> str:
        return self._output

    def secret_values(self) -> list[str]:
        return without_public(super().secret_values(), (self._arguments or {}).get("storage_options"))


class DatasetSink(PlacedSink[T]):
    """A sink of one dataset, which says of each item which version of it is there, and in which split."""

    @abstractmethod
    def _published(self, output_path: str) -> HoldsItems:
        """The dataset that stands there.

        Raises
        ------
        ComponentError
            Something else stands there, or it is damaged.
        """

    def _require_own(self) -> None:
        """Raise `ConfigError` when something else than such a dataset stands at the output."""
        try:
            self.retained_items(self.output_path)
        except ComponentError as exc:
            raise ConfigError(f"{self.component_name()}: {exc} Move it away, or choose another output.") from exc

    def retained_items(self, output_path: str) -> dict[str, str]:
        """Item version by key of a published dataset; empty when there is none.

        Raises
        ------
        ComponentError
            Something else stands there, or it is damaged.
        """
        return dict(self._published(output_path).versions()) if location_of(output_path).exists() else {}

    def retained_splits(self, output_path: str) -> dict[str, str]:
        """Split by key of the items of a published dataset that are in one."""
        if not location_of(output_path).exists():
            return {}
        return {key: split for key, split in self._published(output_path).splits().items() if split}
