"""Contract of places that outputs are published to, as a test class to subclass."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from curator_core.storage.base import OutputLocation
from curator_core.storage.locations import location_of
from curator_core.storage.written import await_tick, file_clock_ns
from curator_core.testing.contracts import PlannedError

_FIRST = {"a": b"first", "deep/b": b"bb", "deep/c": b""}
_SECOND = {"a": b"second", "d": b"d"}


class LocationContract:
    """What every `OutputLocation` must do; override `make_location`."""

    def make_location(self, tmp_path: Path) -> OutputLocation:
        """The location under test, at which nothing is yet; the same one whenever it gets the same folder."""
        raise NotImplementedError

    def test_there_is_nothing_at_first(self, tmp_path: Path) -> None:
        """A place without an output says so, and what tidies up finds nothing to do."""
        location = self.make_location(tmp_path)
        location.check("the output")
        location.recover()
        location.remove_leftovers()
        location.remove()
        assert not location.exists()
        assert (location.objects(), location.size(), location.mark(0)) == ({}, 0, None)
        assert not location.is_as_written(None)
        assert _is_not_found(location.modified_ns)
        assert _is_not_found(location.read)

    def test_its_path_names_it(self, tmp_path: Path) -> None:
        """The path or URL leads to the same kind of place, which pickles."""
        location = self.make_location(tmp_path)
        with location.publication() as staged:
            staged.write_bytes(b"x")
        for other in (location_of(location.path), pickle.loads(pickle.dumps(location))):
            assert type(other) is type(location)
            assert (other.path, other.work_path, other.exists()) == (location.path, location.work_path, True)

    def test_a_file_is_published(self, tmp_path: Path) -> None:
        """It is there with its content, and a second one replaces it."""
        location = self.make_location(tmp_path)
        for content in (b"first", b"second one"):
            with location.publication() as staged:
                staged.write_bytes(content)
            assert location.exists()
            assert (location.objects(), location.size()) == ({"": len(content)}, len(content))
            assert location.read() == content

    def test_a_folder_is_published(self, tmp_path: Path) -> None:
        """Its objects are there, and none of the folder that it replaces."""
        location = self.make_location(tmp_path)
        for content in (_FIRST, _SECOND):
            _publish(location, content)
            assert _content(location) == content
            assert location.size() == sum(map(len, content.values()))

    def test_an_error_leaves_what_was_there(self, tmp_path: Path) -> None:
        """Nothing is published, and nothing left, when what is staged fails half-way."""
        location = self.make_location(tmp_path)
        _publish(location, _FIRST)
        before, mark = _beside(location), location.mark(0)
        with suppress(PlannedError), location.publication() as staged:
            staged.mkdir()
            (staged / "a").write_bytes(b"half")
            raise PlannedError
        assert _content(location) == _FIRST
        assert location.is_as_written(mark)
        assert _beside(location) == before

    def test_readers_see_what_is_published(self, tmp_path: Path) -> None:
        """While another output is staged the old one is there, whole."""
        location = self.make_location(tmp_path)
        _publish(location, _FIRST)
        with location.publication() as staged:
            _write(staged, _SECOND)
            assert _content(location) == _FIRST
        assert _content(location) == _SECOND

    def test_what_a_killed_process_staged_is_removed(self, tmp_path: Path) -> None:
        """The output stays as it was; staged files and scratch folders go."""
        location = self.make_location(tmp_path)
        _publish(location, _FIRST)
        before = _beside(location)
        abandoned = [location.publication(), location.scratch()]
        _write(abandoned[0].__enter__(), _SECOND)
        (abandoned[1].__enter__() / "part").write_bytes(b"part")
        assert _beside(location) != before
        location.recover()
        location.remove_leftovers()
        assert _beside(location) == before
        assert _content(location) == _FIRST

    def test_objects_that_do_not_change_are_kept(self, tmp_path: Path) -> None:
        """They come over from the output that is replaced, under another name if need be, and outlive it."""
        location = self.make_location(tmp_path)
        _publish(location, _FIRST)
        with location.publication() as staged:
            _write(staged, {"new": b"new"})
            location.keep("a", staged / "a")
            location.keep("deep/b", staged / "other" / "place")
        assert _content(location) == {"a": b"first", "new": b"new", "other/place": b"bb"}
        with location.publication() as staged:
            location.keep("other/place", staged / "b")
        assert _content(location) == {"b": b"bb"}

    def test_many_objects_are_kept_at_once(self, tmp_path: Path) -> None:
        """As one by one; also where a folder is to be made. One that is not there is an error."""
        location = self.make_location(tmp_path)
        _publish(location, _FIRST)
        with location.publication() as staged:
            staged.mkdir()
            location.keep_all(iter([("a", "b"), ("deep/b", "other/place")]), staged)
        assert _content(location) == {"b": b"first", "other/place": b"bb"}
        with location.scratch() as folder:
            assert _is_not_found(lambda: location.keep_all([("b", "b"), ("a", "a")], folder))

    def test_an_object_that_is_not_there_cannot_be_kept(self, tmp_path: Path) -> None:
        """That is an error, and the output stays as it was."""
        location = self.make_location(tmp_path)
        _publish(location, _FIRST)
        with location.scratch() as folder:
            assert _is_not_found(lambda: location.keep("nothing", folder / "nothing"))
        assert _is_not_found(lambda: location.read("nothing"))
        assert _content(location) == _FIRST

    def test_marks_tell_one_publication_from_another(self, tmp_path: Path) -> None:
        """A mark holds until something else is published, be it of the same size, or nothing is there."""
        location = self.make_location(tmp_path)
        _publish(location, {"a": b"1"})
        first, published_ns = location.mark(0), location.modified_ns()
        assert first is not None
        assert 0 <= first < 1 << 63
        assert location.is_as_written(first)
        await_tick(file_clock_ns())
        _publish(location, {"a": b"2"})
        assert not location.is_as_written(first)
        assert location.is_as_written(location.mark(0))
        assert location.is_as_written(None)
        assert location.modified_ns() > published_ns
        location.remove()
        assert not location.is_as_written(first)

    def test_an_output_is_removed(self, tmp_path: Path) -> None:
        """Nothing is left of it, and something else can be published."""
        location = self.make_location(tmp_path)
        before = _beside(location)
        _publish(location, _FIRST)
        location.remove()
        assert not location.exists()
        assert location.objects() == {}
        assert _beside(location) == before
        with location.publication() as staged:
            staged.write_bytes(b"file")
        assert location.objects() == {"": 4}

    def test_a_file_can_lie_beside_it(self, tmp_path: Path) -> None:
        """It is another output, of its own name, and the two do not touch each other."""
        location = self.make_location(tmp_path)
        other = location.beside("other.json")
        assert type(other) is type(location_of(other.path))
        assert other.work_path == location.work_path.with_name("other.json")
        _publish(location, _FIRST)
        assert not other.exists()
        with other.publication() as staged:
            staged.write_bytes(b"{}")
        assert other.read() == b"{}"
        assert _content(location) == _FIRST

    def test_a_scratch_folder_is_removed(self, tmp_path: Path) -> None:
        """It is empty at first, near the output, and gone with what is in it."""
        location = self.make_location(tmp_path)
        with location.scratch() as folder:
            assert list(folder.iterdir()) == []
            assert folder.parent == location.work_path.parent
            (folder / "part").write_bytes(b"part")
        assert not folder.exists()
        assert not location.exists()


def _is_not_found(action: Callable[[], object]) -> bool:
    try:
        action()
    except FileNotFoundError:
        return True
    return False


def _write(folder: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _publish(location: OutputLocation, content: dict[str, bytes]) -> None:
    with location.publication() as staged:
        _write(staged, content)


def _content(location: OutputLocation) -> dict[str, bytes]:
    found = location.objects()
    content = {name: location.read(name) for name in found}
    assert list(content) == sorted(content)
    assert found == {name: len(data) for name, data in content.items()}
    return content


def _beside(location: OutputLocation) -> set[str]:
    """Names of what lies beside the output, and of itself where it is a local one."""
    folder = location.work_path.parent
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
