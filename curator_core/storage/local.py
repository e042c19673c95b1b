"""Outputs in a folder of this machine's file systems, network file systems among them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from curator_core.errors import ConfigError
from curator_core.storage import atomic, kept
from curator_core.storage.base import OutputLocation
from curator_core.storage.places import check_folder, check_lengths, local_place
from curator_core.storage.written import is_as_written, written_mark


class LocalLocation(OutputLocation):
    """A file or folder at a local path, published by renaming.

    Its parts lie beside it, since a rename stays within one file system. A subclass that gives its URLs another
    `work_path` publishes there.
    """

    keeps_versions = True
    has_links = True

    @property
    def work_path(self) -> Path:
        return Path(self.path)

    @property
    def readable_path(self) -> str:
        return str(self.work_path) if "://" in self.path else self.path

    def check(self, what: str) -> None:
        place, named = local_place(self.work_path, what), f"{what} {self.path!r}"
        if not place.name or place.name == "..":
            raise ConfigError(f"{named} is a folder's own name: name the file or folder that is to be made.")
        check_lengths(place.parent, [atomic.temporary_sibling(place).name], named)
        if place.is_symlink():
            raise ConfigError(
                f"{named} is a link, which replacing the output would remove. Name the place it points to: "
                f"{os.path.realpath(place)!r}."
            )
        check_folder(place.parent, named)
        require_own(place, named)

    def exists(self) -> bool:
        return self.work_path.exists()

    def objects(self) -> dict[str, int]:
        target = self.work_path
        if not target.is_dir():
            return {"": target.stat().st_size} if target.exists() else {}
        begin = len(f"{target}{os.sep}")
        found = (f"{folder}{os.sep}{name}" for folder, _, names in os.walk(target) for name in names)
        return dict(sorted((path[begin:].replace(os.sep, "/"), os.lstat(path).st_size) for path in found))

    def size(self) -> int:
        return sum(found.st_size for found in _files(self.work_path)) if self.work_path.exists() else 0

    def read(self, name: str = "") -> bytes:
        return (self.work_path / name).read_bytes()

    def modified_ns(self) -> int:
        return self.work_path.stat().st_mtime_ns

    def mark(self, begun_ns: int) -> int | None:
        return written_mark(str(self.work_path), begun_ns)

    def is_as_written(self, mark: int | None) -> bool:
        return is_as_written(str(self.work_path), mark)

    def keep(self, name: str, staged: Path) -> None:
        source = f"{self.work_path}/{name}"
        try:
            atomic.link_or_copy(source, staged)
        except FileNotFoundError:
            if staged.parent.is_dir():
                raise
            staged.parent.mkdir(parents=True, exist_ok=True)  # seldom: objects are many, folders few
            self.keep(name, staged)

    def keep_all(self, names: Iterable[tuple[str, str]], staged: Path) -> None:
        with atomic.opened(self.work_path) as source, atomic.opened(staged) as target:
            for name, other in names:
                try:
                    os.link(name, other, src_dir_fd=source, dst_dir_fd=target)
                except FileExistsError:
                    raise
                except OSError:  # its folder is not there yet, or no link is possible
                    self.keep(name, staged / other)

    def publish(self, staged: Path) -> None:
        if staged.is_dir():
            atomic.publish_directory(staged, self.work_path)
        else:
            atomic.publish_file(staged, self.work_path)

    def publish_version(self, staged: Path, version: str, former: str) -> None:
        if former and self.exists():
            kept.publish_keeping(staged, self.work_path, former)
        else:
            self.publish(staged)

    def kept_versions(self) -> list[str]:
        return [place.stem for place in kept.kept_places(self.work_path)]

    def place_of_version(self, version: str) -> LocalLocation:
        return LocalLocation(kept.kept_path(self.work_path, version))

    def expire_version(self, version: str) -> None:
        atomic.discard(kept.kept_path(self.work_path, version))

    def copy_version(self, place: OutputLocation, staged: Path) -> None:
        source = Path(place.readable_path)
        if source.is_dir():
            staged.mkdir()  # also where nothing is in it
            super().copy_version(place, staged)
        else:
            shutil.copyfile(source, staged)  # a link would have the time of then: older than what describes the newest

    def new_bytes(self, former: str) -> int:
        if not kept.has_kept(self.work_path, former):
            return self.size()
        shared = set(_inodes(kept.kept_path(self.work_path, former)))
        return sum(found.st_size for found in _files(self.work_path) if found.st_ino not in shared)

    def remove(self) -> None:
        atomic.remove(self.work_path)

    def recover(self) -> None:
        atomic.recover_directory(self.work_path)
        kept.recover_kept(self.work_path)

    def remove_leftovers(self) -> None:
        super().remove_leftovers()
        kept.remove_kept_leftovers(self.work_path)


def _files(path: Path) -> Iterator[os.stat_result]:
    """What the system says of a file, or of every file in a folder."""
    if not path.is_dir():
        yield path.lstat()
        return
    for folder, _, names in os.walk(path):
        for name in names:
            yield os.lstat(f"{folder}/{name}")


def _inodes(path: Path) -> Iterator[int]:
    """Number of a file, or of everything in a folder, which the folders say themselves."""
    if not path.is_dir():
        yield path.lstat().st_ino
        return
    left = [str(path)]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                yield entry.inode()
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)


def require_own(place: Path, named: str) -> None:
    """Raise `ConfigError` where something stands that curator cannot have put there: a link, a pipe or a device."""
    if place.is_symlink() or (place.exists() and not (place.is_file() or place.is_dir())):
        raise ConfigError(
            f"{named}: {str(place)!r} is a link, a pipe or a device, where curator writes a file of its own. See "
            "who put it there, and remove it, or choose another output."
        )
