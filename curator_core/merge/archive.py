"""Sharded outputs: which components have them, and the archive that retains every item's state."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from curator_core.datasets.contents import content_signature as content_signature  # noqa: PLC0414 - public here
from curator_core.datasets.contents import item_version as item_version  # noqa: PLC0414 - as above
from curator_core.errors import ConfigError, MergeError
from curator_core.pipeline.components import ShardedFilter, ShardedSink, is_flushing, shard_path
from curator_core.storage.atomic import TEMPORARY_MARK, glob_escape
from curator_core.storage.base import OutputLocation
from curator_core.storage.disk import ADVICE, lack_of_room
from curator_core.storage.locations import location_of

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline

MAX_ARCHIVED_BYTES = 900_000_000
"""SQLite holds no larger value; a larger shard, or a folder, gets another name when its item moves."""
FIRST_ASIDE = 10**9
"""Shards with this number and higher ones are of items that moved; no index is as high."""
PIECE_BYTES = 1 << 28
"""A larger shard, of a filter that is gathered, is kept in pieces of this size."""
MAX_COMPACTED_BYTES = 1 << 20
"""Larger shards are few, or the disk would be full: they stay files until they are merged or move."""


@dataclass(frozen=True)
class ShardedOutput:
    """One component's merged output."""

    kind: Literal["filter", "sink"]
    """Where the component stands."""
    order: int
    """Its stage, 1 for the first filter."""
    component: Any
    """The component itself."""
    path: str
    """The merged output."""

    @cached_property
    def location(self) -> OutputLocation:
        """Where it is published.

        Raises
        ------
        ConfigError
            No place of that name is known.
        """
        return location_of(self.path, f"{self.component.component_name()}: the output")

    @property
    def readable_path(self) -> str:
        """What its component opens to read it."""
        return self.location.readable_path

    @property
    def archive_path(self) -> Path:
        """``{stem}_shards.db`` beside its shards."""
        return self.location.beside_parts(".db")

    @property
    def claim_path(self) -> Path:
        """``{stem}_shards.claim`` beside its shards: whose they are."""
        return self.location.beside_parts(".claim")

    @property
    def segments_path(self) -> Path:
        """``{stem}_shards.segments`` beside its shards: what workers encoded of a dataset that is being published."""
        return self.location.beside_parts(".segments")

    @property
    def lock_path(self) -> Path:
        """``{stem}_shards.lock`` beside its shards: held by who writes or merges them."""
        return self.location.lock_path

    @cached_property
    def shard_name(self) -> re.Pattern[str]:
        """What the names of its shards match."""
        name = Path(shard_path(self.path, 0, getattr(self.component, "shard_suffix", ""))).name
        before, after = name.rsplit("000000", 1)
        return re.compile(rf"{re.escape(before)}(?P<number>\d{{6,}}){re.escape(after)}")

    def shard_number(self, path: str | Path) -> int:
        """The number in a shard's name: the index that its item had when it was written, or one from `FIRST_ASIDE`."""
        found = self.shard_name.match(os.path.basename(path).removeprefix("."))  # noqa: PTH119 - for every index
        assert found is not None, path  # noqa: S101 - paths of shards alone are given
        return int(found["number"])

    def shard_beside(self, path: str | Path, number: int) -> Path:
        """Where a shard lies that has another number than the one at `path`."""
        name = shard_path(self.path, number, getattr(self.component, "shard_suffix", ""))
        return Path(path).with_name(Path(name).name)

    def loose_shards(self, *, unfinished: bool = False) -> Iterator[Path]:
        """Its shards that are files of their own, recorded or not.

        Parameters
        ----------
        unfinished
            Those as well that are half-written.
        """
        work, shard = self.location.work_path, self.shard_name.pattern
        name = re.compile(rf"(\.)?{shard}(?(1)({re.escape(TEMPORARY_MARK)}.*)?)") if unfinished else self.shard_name
        found = work.parent.glob(f"*{glob_escape(work.stem)}_shard_*")
        return (path for path in found if name.fullmatch(path.name))

    def retained(self) -> list[dict[str, str]]:
        """Item version by key, of every place that keeps items without loose shards: the dataset, the archive.

        A killed gather leaves an archive with items that the dataset holds in a newer version.
        """
        places: list[dict[str, str]] = []
        if self.kind == "sink" and self.location.exists():
            places.append(self.component.retained_items(self.readable_path))
        if self.archive_path.exists():
            with ShardArchive(self.archive_path, self.path) as archive:
                places.append(archive.versions())
        return places


def sharded_outputs(pipeline: Pipeline[Any]) -> list[ShardedOutput]:
    """The merged outputs of a pipeline, filters first."""
    found = []
    for order, step in enumerate(pipeline.filters, start=1):
        if isinstance(step, ShardedFilter):
            found.append(ShardedOutput("filter", order, step, str(step.output_path)))
        elif is_flushing(step):
            found.append(ShardedOutput("filter", order, step, str(step._output_path)))  # noqa: SLF001
    if isinstance(pipeline.sink, ShardedSink):
        found.append(ShardedOutput("sink", len(pipeline.filters) + 1, pipeline.sink, str(pipeline.sink.output_path)))
    return found


_SHARDS = "CREATE TABLE IF NOT EXISTS shards (item_key TEXT PRIMARY KEY, version TEXT NOT NULL, data BLOB NOT NULL)"

_PIECES = (
    "CREATE TABLE IF NOT EXISTS pieces"
    " (item_key TEXT NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (item_key, part))"
)


class ShardArchive:
    """Shards of many items in one file, by key.

    An SQLite file with a rollback journal (no WAL: it may lie on a network file system). What is
    absorbed needs no loose file any more.

    Parameters
    ----------
    path
        The file; created when absent.
    output
        The merged output whose archive it is.

    Raises
    ------
    ConfigError
        It is that of another output.
    MergeError
        It cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str], output: str | None = None) -> None:
        self.path = Path(path)
        with self._explained():
            self._db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
            try:
                self._db.execute(_SHARDS)
                self._db.execute("CREATE TABLE IF NOT EXISTS published (signature TEXT NOT NULL)")
                self._db.execute("CREATE TABLE IF NOT EXISTS publisher (config_hash TEXT NOT NULL)")
                self._db.execute(_PIECES)
                self._db.execute("CREATE TABLE IF NOT EXISTS output (name TEXT NOT NULL)")
                if output is not None:
                    self._belong_to(output)
            except (sqlite3.Error, ConfigError):
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _belong_to(self, output: str) -> None:
        """Be the archive of one output, from the first time on."""
        name = Path(output).name
        row = self._db.execute("SELECT name FROM output").fetchone()
        if row is None:
            self._db.execute("INSERT INTO output VALUES (?)", (name,))
        elif row[0] != name:
            raise ConfigError(
                f"{self.path} keeps the items of {row[0]!r}, an output that differs from {output!r} in its suffix "
                "alone. Choose another name for one of them."
            )

    def versions(self) -> dict[str, str]:
        """Item version by key."""
        with self._explained():
            return dict(self._db.execute("SELECT item_key, version FROM shards"))

    def absorb(self, shards: Iterable[tuple[str, str, str | Path]]) -> None:
        """Take in (key, version, path of the shard), all or none.

        Raises
        ------
        MergeError
            A shard cannot be read, or the archive not be written.
        """
        with self._transaction():
            self._db.execute("DELETE FROM published")  # the same item may have another shard now
            for key, version, path in shards:
                self._take_in(key, version, Path(path))

    def _take_in(self, key: str, version: str, path: Path) -> None:
        self._db.execute("DELETE FROM pieces WHERE item_key = ?", (key,))
        with path.open("rb") as file:
            first = file.read(PIECE_BYTES)
            self._db.execute("INSERT OR REPLACE INTO shards VALUES (?, ?, ?)", (key, version, first))
            if len(first) == PIECE_BYTES:
                rest = enumerate(iter(lambda: file.read(PIECE_BYTES), b""))
                self._db.executemany("INSERT INTO pieces VALUES (?, ?, ?)", ((key, part, data) for part, data in rest))

    def keep_only(self, versions: dict[str, str]) -> None:
        """Drop every shard that is not of exactly these items and versions."""
        stale = [(key,) for key, version in self.versions().items() if versions.get(key) != version]
        if stale:
            with self._transaction():
                self._db.executemany("DELETE FROM shards WHERE item_key = ?", stale)
                self._db.executemany("DELETE FROM pieces WHERE item_key = ?", stale)

    def content(self, key: str) -> bytes:
        """An item's shard."""
        return b"".join(self._pieces(key))

    def extract(self, key: str, path: str | Path) -> None:
        """Write an item's shard to a file, without holding it in memory."""
        with Path(path).open("wb") as file:
            file.writelines(self._pieces(key))

    def _pieces(self, key: str) -> Iterator[bytes]:
        with self._explained():
            row = self._db.execute("SELECT data FROM shards WHERE item_key = ?", (key,)).fetchone()
        if row is None:
            raise MergeError(f"{self.path} holds no shard of {key!r}.")
        yield bytes(row[0])
        part = 0
        while len(row[0]) == PIECE_BYTES:
            with self._explained():
                row = self._db.execute(
                    "SELECT data FROM pieces WHERE item_key = ? AND part = ?", (key, part)
                ).fetchone()
            if row is None:
                return
            yield bytes(row[0])
            part += 1

    def has_published(self, signature: str, output: OutputLocation) -> bool:
        """Whether the merged output is made of what `signature` says, and still what was written there."""
        with self._explained():
            row = self._db.execute("SELECT signature FROM published").fetchone()
        made_of, _, mark = ("" if row is None else str(row[0])).partition(" ")
        return made_of == signature and output.is_as_written(int(mark) if mark else None)

    @property
    def publisher(self) -> str:
        """Configuration that published the merged output last; empty where that is not known."""
        with self._explained():
            row = self._db.execute("SELECT config_hash FROM publisher").fetchone()
        return "" if row is None else str(row[0])

    def publish(self, signature: str, output: OutputLocation, begun_ns: int, config_hash: str = "") -> None:
        """Remember what the merged output is made of, its mark, and whose it is; it was begun at `begun_ns`."""
        mark = output.mark(begun_ns)
        with self._transaction():
            self._db.execute("DELETE FROM published")
            self._db.execute("INSERT INTO published VALUES (?)", (f"{signature} {'' if mark is None else mark}",))
            self._db.execute("DELETE FROM publisher")
            self._db.execute("INSERT INTO publisher VALUES (?)", (config_hash,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise MergeError(f"A shard cannot be taken into {self.path}: {exc}.") from exc
        except sqlite3.Error as exc:
            if full := lack_of_room(exc, self.path):
                raise MergeError(f"The archive of shards {self.path} cannot be written: {full}. {ADVICE}") from exc
            raise MergeError(
                f"The archive of shards {self.path} cannot be used: {exc}. If it is damaged, "
                "move it away and run again with resume=True, which processes what it held."
            ) from exc
