"""Where one output of a pipeline is published: the seam between what is put together and where bytes live."""

from __future__ import annotations

import os
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from curator_core.storage import atomic


class OutputLocation(ABC):
    """One output: where it is published, and where its parts lie until then.

    An output is a file, or a folder of *objects*: the files below it, named relative to it with slashes. Publishing
    replaces it as a whole: a reader sees the old output or the new one, also when the process is killed meanwhile.
    One process at a time publishes an output, or tidies up after one that was killed.

    Another kind of place derives from this class, see `curator_core.storage.locations.register_location`;
    `curator_core.testing.LocationContract` tests it. Locations pickle.

    Parameters
    ----------
    path
        The output as its component names it, a path or a URL.
    """

    scheme: ClassVar[str] = ""
    """Scheme of the URLs that name such places, in small letters: ``s3`` for ``s3://bucket/name``."""
    keeps_versions: ClassVar[bool] = False
    """Whether `publish_version` keeps the former output."""
    has_links: ClassVar[bool] = False
    """Whether an object that `keep` takes under several names is there once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    @property
    @abstractmethod
    def work_path(self) -> Path:
        """Local path, of the output's own name, beside which its parts lie until they are published.

        Every worker reaches it. Shards, archive, locks and staged files are named after it. Nothing is ever written
        at this path itself, unless it is the output.
        """

    @property
    def lock_path(self) -> Path:
        """``{stem}_shards.lock`` beside its parts: held by who writes, merges or publishes them."""
        return self.beside_parts(".lock")

    def beside_parts(self, ending: str) -> Path:
        """``{stem}_shards{ending}``: what belongs to the parts of the output, beside them."""
        work = self.work_path
        return work.with_name(f"{work.stem}_shards{ending}")

    @property
    def readable_path(self) -> str:
        """What a component opens to read the output: a local path where it is one, else its URL."""
        return self.path

    def beside(self, name: str) -> OutputLocation:
        """The location of another output, in the same folder."""
        root = self.path[: self.path.find("://") + 3] if "://" in self.path else ""
        path = self.path.removeprefix(root).rstrip("/")
        return self._at(root + posixpath.join(posixpath.dirname(path), name))

    def _at(self, path: str) -> OutputLocation:
        """The location of another output; of this kind, unless its path names one of another."""
        return type(self)(path)

    @abstractmethod
    def check(self, what: str) -> None:
        """Refuse a place that cannot be written to; nothing is created.

        Parameters
        ----------
        what
            What is to be published, for messages.

        Raises
        ------
        ConfigError
            The message says why, and what to do.
        """

    @abstractmethod
    def exists(self) -> bool:
        """Whether the output is there."""

    @abstractmethod
    def objects(self) -> dict[str, int]:
        """Size in bytes of every object by its name, in order; of a file its own, by the empty name."""

    def size(self) -> int:
        """Size of the output in bytes; 0 where there is none."""
        return sum(self.objects().values())

    @abstractmethod
    def read(self, name: str = "") -> bytes:
        """Content of an object, one that is small; of a file its own, by the empty name.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """

    @abstractmethod
    def modified_ns(self) -> int:
        """When it was published, nanoseconds since the epoch.

        Raises
        ------
        FileNotFoundError
            There is none.
        """

    @abstractmethod
    def mark(self, begun_ns: int) -> int | None:
        """A whole number of at most 63 bits that no other output at this place ever has; ``None`` where there is none.

        Parameters
        ----------
        begun_ns
            `curator_core.storage.written.file_clock_ns` before it was published.
        """

    @abstractmethod
    def is_as_written(self, mark: int | None) -> bool:
        """Whether an output is there that has this mark; whether any is, where the mark is not known."""

    @contextmanager
    def publication(self, *, version: str = "", former: str = "") -> Iterator[Path]:
        """Within, a new output is staged: a file or folder at the path that is given, which is published at the end.

        On an error the output stays as it was, and nothing is left of the staged one.

        Parameters
        ----------
        version
            Name of the version that is staged, where it has one.
        former
            Name of the version that is there, where it is to be kept.
        """
        staged = self._staged()
        try:
            yield staged
            if version or former:
                self.publish_version(staged, version, former)
            else:
                self.publish(staged)
        finally:
            atomic.remove(staged)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder beside `work_path`, which is removed at the end with what is in it."""
        folder = self._staged()
        folder.mkdir()
        try:
            yield folder
        finally:
            atomic.remove(folder)

    def _staged(self) -> Path:
        self.work_path.parent.mkdir(parents=True, exist_ok=True)
        return atomic.temporary_sibling(self.work_path)

    @abstractmethod
    def keep(self, name: str, staged: Path) -> None:
        """Take an object that does not change into a staged output, without reading it where the place can do that.

        Parameters
        ----------
        name
            Its name in the output that is there.
        staged
            Where it belongs in the staged one, which may be under another name.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """

    def keep_all(self, names: Iterable[tuple[str, str]], staged: Path) -> None:
        """Take many objects that do not change into a staged output, one after the other.

        Parameters
        ----------
        names
            Name of each in the output that is there, and in the staged one; the next is asked for when one is taken.
        staged
            The staged output, a folder.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        for name, other in names:
            self.keep(name, staged / other)

    def fetch_kept(self, staged: Path) -> None:  # noqa: B027 - in most places, files are there
        """Make files of what `keep` took into a staged output, where it is there by name alone, to compare it."""

    @abstractmethod
    def publish(self, staged: Path) -> None:
        """Replace the output with a staged file or folder, durably, as a whole."""

    def publish_version(self, staged: Path, version: str, former: str) -> None:
        """Do what `publish` does, and keep the former output as a version; places that keep none replace it.

        Parameters
        ----------
        staged
            The new output.
        version
            Name of its version.
        former
            Name of the version that is there; empty where it is not to be kept.
        """
        self.publish(staged)

    def kept_versions(self) -> list[str]:
        """Names of the former versions that are kept; none unless overridden."""
        return []

    def place_of_version(self, version: str) -> OutputLocation:
        """Where a version lies when it is a former one that is kept.

        Raises
        ------
        FileNotFoundError
            No version is kept here.
        """
        raise FileNotFoundError(version)

    def kept_version(self, version: str) -> OutputLocation:
        """Where a former version lies, to be read alone.

        Raises
        ------
        FileNotFoundError
            It is not kept.
        """
        if version not in self.kept_versions():
            raise FileNotFoundError(version)
        return self.place_of_version(version)

    def expire_version(self, version: str) -> None:  # noqa: B027 - a place that keeps none has nothing to delete
        """Delete a former version; nothing happens where it is not kept."""

    def collect(self) -> None:  # noqa: B027 - as above
        """Free what no version needs any more; nothing is left to free where deleting a version does it."""

    def pinned(self) -> OutputLocation:
        """A place of the version that is there now, which stays of that one; the same where it has no versions."""
        return self

    def by_version(self) -> OutputLocation:
        """The same place by the name beside which its description lies, where a version of it has several names."""
        return self

    def copy_version(self, place: OutputLocation, staged: Path) -> None:
        """Take a former version into a staged output, as a whole.

        Parameters
        ----------
        place
            What `kept_version` gave.
        staged
            The staged output.
        """
        for name in place.objects():
            if name:
                place.keep(name, staged / name)
            else:
                staged.write_bytes(place.read())

    def new_bytes(self, former: str) -> int:
        """Bytes of the output that it does not share with a former version; all where that is not kept.

        Parameters
        ----------
        former
            Name of that version.
        """
        return self.size()

    @abstractmethod
    def remove(self) -> None:
        """Delete the output; nothing happens when there is none."""

    @abstractmethod
    def recover(self) -> None:
        """Undo or finish a publication that was killed, so that the output is there as before it or after it."""

    def remove_leftovers(self) -> None:
        """Delete what killed processes had staged."""
        atomic.remove_leftovers(self.work_path)
