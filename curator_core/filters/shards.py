"""Filters that keep a small JSON object of each item, and what is said of a shard that cannot be used."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from curator_core.errors import MergeError
from curator_core.pipeline.components import ShardedFilter
from curator_core.storage.outputs import check_output_path


@contextmanager
def using_shard(position: int, name: str) -> Iterator[None]:
    """Say which shard of a filter cannot be used, where what it holds is not what the filter writes.

    Parameters
    ----------
    position
        Place of the shard among those to merge.
    name
        Name of the filter.

    Raises
    ------
    MergeError
        The shard is damaged.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError) as exc:
        raise MergeError(f"{name}: shard {position} of those to merge cannot be used ({exc}).") from exc


class JSONShardsFilter(ShardedFilter[Any]):
    """A filter that writes a JSON object for each item, and merges all of them into a JSON file."""

    shard_suffix: ClassVar[str] = ".json"
    shard_format: ClassVar[str]
    """What the member ``format`` of its shards, and of its output, says."""
    _output_path: str

    @property
    def output_path(self) -> str:
        return self._output_path

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written."""
        check_output_path(self._output_path, ".json", self.name)

    def restored(self, content: bytes) -> dict[str, Any]:
        """The object of a shard.

        Raises
        ------
        ValueError
            It is no JSON, or of another format.
        LookupError
            It names no format.
        """
        data: dict[str, Any] = json.loads(content)
        if data["format"] != self.shard_format:
            raise ValueError(f"its format is {data['format']!r}")
        return data

    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        self.merge_contents((Path(path).read_bytes() for path in shard_paths), output_path)

    @abstractmethod
    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Merge the contents of shards, read one by one in index order."""
