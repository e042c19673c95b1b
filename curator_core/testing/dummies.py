"""Tiny components over text files of integers: fast, deterministic, with keys, fingerprints and shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from curator_core.pipeline.components import Filter, MergeItem, ShardedFilter, ShardedSink, Sink, Source
from curator_core.storage.disk import room_for
from curator_core.storage.input_files import is_unfinished, require_regular, text_key
from curator_core.storage.places import local_place


class NumbersSource(Source[int]):
    """`n` items; item ``i`` yields ``i``, `repeat` times.

    Parameters
    ----------
    n
        Number of items.
    repeat
        Values per item.
    """

    def __init__(self, n: int, repeat: int = 1) -> None:
        self.n = n
        self.repeat = repeat

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        for _ in range(self.repeat):
            yield index


class FileSource(Source[int]):
    """The files of a folder that match a pattern, sorted by name; each yields the integers in it.

    Parameters
    ----------
    folder
        Where the files are.
    pattern
        Which of them.
    by_content
        Fingerprint the content instead of size, time and inode, so that copies are the same.
    """

    def __init__(self, folder: str, pattern: str = "*.txt", *, by_content: bool = False) -> None:
        self.folder = Path(folder)
        self.by_content = by_content
        self.pattern = pattern

    @cached_property
    def files(self) -> list[Path]:
        """The files, listed once; hidden and unfinished ones are none."""
        found = {path.relative_to(self.folder).as_posix(): path for path in self.folder.glob(self.pattern)}
        return sorted(path for name, path in found.items() if not is_unfinished(name, self.pattern))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        require_regular(self.files[index], component=type(self).__name__, key=self.key(index))
        for word in self.files[index].read_text(encoding="utf-8").split():
            yield int(word)

    def key(self, index: int) -> str:
        return text_key(self.files[index].name)

    def item_path(self, index: int) -> str:
        return str(self.files[index].absolute())

    def is_input(self, path: str) -> bool:
        place = Path(path)
        return place.parent == self.folder.resolve() and place.match(self.pattern)

    def fingerprint(self, index: int) -> str:
        if self.by_content and self.files[index].is_file():
            return hashlib.sha256(self.files[index].read_bytes()).hexdigest()
        found = self.files[index].stat()
        return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"


class AddFilter(Filter[int]):
    """Adds a constant.

    Parameters
    ----------
    amount
        What to add.
    """

    def __init__(self, amount: int = 1) -> None:
        self.amount = amount

    def __call__(self, items: Generator[int, None, None]) -> Generator[int, None, None]:
        for item in items:
            yield item + self.amount


class StatisticsFilter(ShardedFilter[int]):
    """Count and sum of every item, merged into one JSON file in index order.

    Parameters
    ----------
    output
        The merged file.
    """

    def __init__(self, output: str) -> None:
        self.output = output
        self._count = self._sum = 0

    @property
    def output_path(self) -> str:
        return self.output

    def __call__(self, items: Generator[int, None, None]) -> Generator[int, None, None]:
        self._count = self._sum = 0
        for item in items:
            self._count += 1
            self._sum += item
            yield item

    def write_shard(self, path: str) -> None:
        Path(path).write_text(json.dumps([self._count, self._sum]), encoding="utf-8")

    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        rows = [json.loads(Path(path).read_text(encoding="utf-8")) for path in shard_paths]
        total = {"count": sum(count for count, _ in rows), "sum": sum(total for _, total in rows), "items": rows}
        Path(output_path).write_text(json.dumps(total), encoding="utf-8")


class JsonSink(Sink[Any]):
    """One JSON file per index.

    Parameters
    ----------
    folder
        Where the files go; created when absent.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def check(self) -> None:
        """Raise `ConfigError` when the folder is no local one."""
        local_place(self.folder, "JsonSink: the folder")

    def __call__(self, items: Iterator[Any], index: int) -> list[str]:
        path = self.folder / f"item_{index:06d}.json"
        _publish_json(path, list(items))
        return [str(path)]


class DatasetSink(ShardedSink[int]):
    """One JSON file for all items, merged from a shard per index.

    Parameters
    ----------
    output
        The merged file.
    """

    def __init__(self, output: str) -> None:
        self.output = output

    @property
    def output_path(self) -> str:
        return self.output

    def write_shard(self, items: Iterator[int], path: str) -> None:
        Path(path).write_text(json.dumps(list(items)), encoding="utf-8")

    def retained_items(self, output_path: str) -> dict[str, str]:
        path = Path(output_path)
        return {entry["key"]: entry["version"] for entry in _read_json(path)} if path.exists() else {}

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        before = {entry["key"]: entry["values"] for entry in _read_json(Path(previous))} if previous else {}
        entries = [
            {
                "key": item.key,
                "version": item.version,
                "values": before[item.key] if item.shard is None else _read_json(item.shard),
            }
            for item in items
        ]
        Path(output_path).write_text(json.dumps(entries), encoding="utf-8")


def _publish_json(path: Path, values: list[Any]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")  # the same each time: what a killed worker leaves is replaced
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(json.dumps(values), encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads(path.read_text(encoding="utf-8"))
