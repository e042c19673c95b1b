"""A Zarr store of one published version, which it reads to the end, and in which a lost file is an error."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from curator_core.datasets.aligned.published import PublishedAligned, shard_key
from curator_core.errors import ComponentError, DatasetExpiredError, PipelineStateError
from curator_core.formats.dataset_files import Descriptor
from curator_core.formats.described import METADATA
from curator_core.storage.kept import dataset_of, find_moved
from curator_core.storage.local import LocalLocation
from curator_core.storage.objects.mirror import Mirror

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype


class PinnedStore(Store):
    """Reads the files of one version of a dataset, wherever it lies by now; it pickles.

    Parameters
    ----------
    path
        Folder of the version.
    content_hash
        Hash of its content; that of what lies there by default.

    Raises
    ------
    ComponentError
        There is no such dataset.
    DatasetExpiredError
        Another version lies there, and the one that is meant is not kept any more.
    """

    def __init__(self, path: Path, content_hash: str | None = None) -> None:
        super().__init__(read_only=True)
        self.path = path.absolute()
        if content_hash is None:
            content_hash = _content_hash(self.path)
        elif not self._is_same(self.path, content_hash):
            found = find_moved(self.path, lambda place: self._is_same(place, content_hash))
            if found is None:
                raise self._expired()
            self.path = found
        self.content_hash = content_hash
        self._folder = Descriptor(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self._mirror = Mirror.at(self.path)

    @staticmethod
    def _is_same(place: Path, content_hash: str) -> bool:
        try:
            return _content_hash(place) == content_hash
        except ComponentError:
            return False

    def _expired(self) -> DatasetExpiredError:
        return DatasetExpiredError(
            f"The dataset {dataset_of(self.path)} was replaced after it was opened, and the version that was opened is "
            "not kept any more. Open it again; `keep_versions` says how many versions are kept, and one with a tag "
            "always is.",
            file=str(self.path),
        )

    @cached_property
    def _expected(self) -> frozenset[str]:
        """The files that must be there: Zarr takes one that is missing for one full of fill values."""
        found = PublishedAligned(LocalLocation(self.path), _format_of(self.path))
        return frozenset(
            shard_key(array, position, found.aside)
            for name, array in found.arrays.items()
            for position in zip(*map(list, found.checksums[name].nonzero()), strict=True)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PinnedStore) and (self.path, self.content_hash) == (other.path, other.content_hash)

    def __hash__(self) -> int:
        return hash((self.path, self.content_hash))

    def __getstate__(self) -> tuple[Path, str]:
        return self.path, self.content_hash

    def __setstate__(self, state: tuple[Path, str]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # opens it where it lies in this process

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        found = self._read(key, byte_range)
        return None if found is None else prototype.buffer.from_bytes(found)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        descriptor = self._opened(key)
        if descriptor is None:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if byte_range is None:
                return file.read()
            if isinstance(byte_range, RangeByteRequest):
                file.seek(byte_range.start)
                return file.read(byte_range.end - byte_range.start)
            if isinstance(byte_range, OffsetByteRequest):
                file.seek(byte_range.offset)
                return file.read()
            assert isinstance(byte_range, SuffixByteRequest)  # noqa: S101 - there is no other
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - byte_range.suffix))
            return file.read()

    def _opened(self, key: str) -> int | None:
        """Open a file; ``None`` where the dataset has none of that name."""
        try:
            return self._here(key)
        except (FileNotFoundError, NotADirectoryError):
            if self._mirror is not None and self._mirror.holds(key):
                self._mirror.fetch(key)
                return self._here(key)
        self._require_none(key)
        return None

    def _here(self, key: str) -> int:
        return os.open(key, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder.number)

    def _require_none(self, key: str) -> None:
        """Raise an error where a file should be there, or the version is gone."""
        try:
            os.close(self._here(METADATA))
        except OSError:
            raise self._expired() from None
        if key in self._expected:
            raise ComponentError(f"The dataset {self.path} is damaged: {key} is missing.", file=str(self.path))

    async def exists(self, key: str) -> bool:
        return self._read(key, RangeByteRequest(0, 0)) is not None

    @property
    def supports_writes(self) -> bool:
        return False

    @property
    def supports_deletes(self) -> bool:
        return False

    @property
    def supports_listing(self) -> bool:
        return True

    async def set(self, key: str, value: Buffer) -> None:
        raise self._refused()

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        raise self._refused()

    async def delete(self, key: str) -> None:
        raise self._refused()

    def _refused(self) -> PipelineStateError:
        return PipelineStateError(f"{self.path} is a published version, which never changes: write to a copy of it.")

    async def list(self) -> AsyncIterator[str]:
        for folder, _, files in os.walk(self.path):
            for file in files:
                yield str((Path(folder) / file).relative_to(self.path))

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        folder = self.path / prefix
        for entry in sorted(os.listdir(folder)) if folder.is_dir() else ():  # noqa: PTH208 - names
            yield entry


def _content_hash(path: Path) -> str:
    return str(_attributes(path).get("content_hash", ""))


def _format_of(path: Path) -> str:
    return str(_attributes(path).get("format", ""))


def _attributes(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((path / METADATA).read_bytes())["attributes"]
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ComponentError(f"There is no Zarr group at {path}: {exc}", file=str(path)) from exc
    return found
