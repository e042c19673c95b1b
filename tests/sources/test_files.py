"""Sources of files: which files, by which keys, and errors that name them."""

from __future__ import annotations

import errno
import os
import pickle
import tempfile
from pathlib import Path

import pytest

from curator_core import FileSource, Pipeline, run_pipeline
from curator_core.errors import ComponentError, ConfigError, EmptySourceError, IndexRangeError, RunFailed
from curator_core.testing import JsonSink, SourceContract


class Lines(FileSource[int]):
    """Integers of text files, all of a file or `n` per index.

    Parameters
    ----------
    root
        Where the files are.
    pattern
        Which of them.
    n
        Lines per index.
    """

    name = "lines"

    def __init__(self, root, pattern="*.txt", n=None):
        super().__init__(root, pattern)
        self.n = n

    def split(self, file):
        n_lines = len(file.path.read_text().splitlines())
        steps = range(0, n_lines, self.n or max(n_lines, 1))
        return [file.part(str(start), start, start + self.n) for start in steps] if self.n else [file]

    def read(self, item):
        for line in item.path.read_text().splitlines()[item.start : item.stop]:
            yield int(line)


class Whole(FileSource[str]):
    """Contents of files, with the constructor and the splitting of the base class."""

    def read(self, item):
        return [item.path.read_text()] if item.path.stat().st_size else []


class TestLines(SourceContract):
    """The contract of sources, for whole files."""

    n: int | None = None

    def make_source(self, tmp_path):
        for index in range(2):
            (tmp_path / f"{index}.txt").write_text(f"{index}\n1\n2\n")
        return Lines(str(tmp_path), n=self.n)


class TestLinesInParts(TestLines):
    """The contract of sources, for parts of files."""

    n = 2


@pytest.fixture
def folder(tmp_path):
    """Two files with names of which one sorts before the folder of the other, and things that are no items."""
    root = tmp_path / "in"
    (root / "b").mkdir(parents=True)
    for name in ("b.txt", "b/a.txt", ".hidden.txt", "b/.#c.txt", "x.txt.part", "d.csv"):
        (root / name).write_text("1\n2\n3\n")
    (root / "folder.txt").mkdir()
    return root


def _keys(source):
    return [source.key(i) for i in range(len(source))]


def test_files_are_listed_by_path_without_what_is_none(folder):
    """Hidden and unfinished files and folders are passed over; the order is that of the paths as text."""
    assert _keys(Lines(folder)) == ["b.txt", "b/a.txt"]
    assert _keys(Lines(folder, "*.part")) == ["x.txt.part"]
    assert _keys(Lines(folder, n=2)) == ["b.txt#0", "b.txt#2", "b/a.txt#0", "b/a.txt#2"]
    assert list(Lines(folder, n=2)[1]) == [3]


def test_links_and_loops(folder):
    """A link to a file is an item, one to nowhere an item that fails, one to a folder is not followed."""
    (folder / "link.txt").symlink_to(folder / "b.txt")
    (folder / "lost.txt").symlink_to(folder / "nowhere")
    (folder / "b" / "loop").symlink_to(folder)
    source = Lines(folder)
    assert _keys(source) == ["b.txt", "b/a.txt", "link.txt", "lost.txt"]
    assert source.fingerprint(0) == source.fingerprint(2)
    assert source.fingerprint(3) is None
    with pytest.raises(ComponentError, match=r"lines: .*lost\.txt: cannot be split into items: .*No such file"):
        list(source[3])


def test_an_item_fails_by_its_name_and_alone(folder, tmp_path):
    """Whatever `read` or `split` raises is the failure of one item, with file and key."""
    (folder / "bad.txt").write_text("1\nx\n")
    (folder / "binary.txt").write_bytes(b"\xff")
    os.mkfifo(folder / "pipe.txt")
    source = Lines(folder)
    with pytest.raises(ComponentError, match=r"bad\.txt: cannot be read: invalid literal") as caught:
        list(source[2])
    assert (caught.value.component, caught.value.key, caught.value.file) == ("lines", "bad.txt", f"{folder}/bad.txt")
    assert isinstance(caught.value.__cause__, ValueError)
    pipeline = Pipeline(source, sink=JsonSink(tmp_path / "out"), track_metrics=False)
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline, progress=False)
    assert {i: source.key(i) for i in failed.value.failures} == {2: "bad.txt", 3: "binary.txt", 4: "pipe.txt"}
    assert "cannot be split into items: 'utf-8' codec" in failed.value.failures[3]
    assert "is a named pipe, not a file" in failed.value.failures[4]


def test_a_missing_key_is_told_as_such(folder):
    """The text of a `KeyError` alone would say nothing."""

    class Keyed(Whole):
        def read(self, item):
            yield {}["temperature"]

    with pytest.raises(ComponentError, match="cannot be read: KeyError: 'temperature'"):
        list(Keyed(folder, "b.txt")[0])


def test_a_file_that_gives_nothing_fails_unless_it_may(folder):
    """A reader that finds nothing in a file has misread it, as far as can be told."""
    (folder / "b.txt").write_text("")

    class Lenient(Whole):
        may_be_empty = True

    with pytest.raises(ComponentError, match=r"b\.txt: gives nothing"):
        list(Whole(folder, "*.txt")[0])
    assert list(Lenient(folder, "*.txt")[0]) == []
    assert list(Whole(folder, "*.txt")[1]) == ["1\n2\n3\n"]


def test_a_file_without_parts_fails_unless_it_may(folder):
    """Otherwise it would be no item, and nobody would miss it."""
    (folder / "b.txt").write_text("")

    class Lenient(Lines):
        may_be_empty = True

    source = Lines(folder, n=2)
    assert _keys(source) == ["b.txt", "b/a.txt#0", "b/a.txt#2"]
    with pytest.raises(ComponentError, match=r"b\.txt: cannot be split into items: it is empty"):
        list(source[0])
    assert _keys(Lenient(folder, n=2)) == ["b/a.txt#0", "b/a.txt#2"]


def test_parts_of_one_name_fail_their_file_alone(folder):
    """Keys are unique; one file in which they are not stops no other."""

    class Named(Lines):
        def split(self, file):
            return [file.part(name, 0, None) for name in file.path.read_text().split()]

    (folder / "b.txt").write_text("4\n5\n4\n")
    source = Named(folder)
    assert _keys(source) == ["b.txt", "b/a.txt#1", "b/a.txt#2", "b/a.txt#3"]
    with pytest.raises(ComponentError, match=r"cannot be split into items: 2 parts have the key 'b\.txt#4'"):
        list(source[0])


@pytest.mark.parametrize("how", ["in place", "by another file"])
def test_a_file_that_is_replaced_while_it_is_read_fails(folder, how):
    """In its place or by another one of that name: what was read may be of both; the next reading is whole."""
    path = folder / "b.txt"
    path.write_text("4\n5\n")
    values = Lines(folder)[0]
    assert next(values) == 4
    if how == "in place":
        path.write_text("7\n8\n9\n")
    else:
        (folder / "new").write_text(path.read_text())
        (folder / "new").replace(path)
    with pytest.raises(ComponentError, match=r"b\.txt: cannot be read: it was written to while it was read"):
        list(values)
    assert next(Lines(folder)[0]) == (7 if how == "in place" else 4)


def test_the_reader_is_closed_with_the_item(folder):
    """Files that `read` holds open are closed when nobody wants more of them."""
    closed = []

    class Open(Whole):
        def read(self, item):
            try:
                yield "first"
                yield "second"
            finally:
                closed.append(item.key)

    values = Open(folder, "b.txt")[0]
    assert next(values) == "first"
    values.close()
    assert closed == ["b.txt"]


@pytest.mark.parametrize("location", ["ftp://host/x", "smb:/host/x", "postgresql://host/x"])
def test_other_urls_are_refused(location):
    """Also those of which a path has swallowed a slash."""
    with pytest.raises(ConfigError, match=rf"lines: '{location}' cannot be read: local paths can, and URLs of the"):
        Lines(location)


def test_an_empty_text_is_no_folder():
    """As of a variable that was not set: it would be the current folder."""
    with pytest.raises(ConfigError, match=r"lines: its folder is empty text: give one, '.' for the current one"):
        Lines("")


def test_file_urls_and_homes_are_paths(folder, monkeypatch):
    """What is after the scheme is the path, with escapes resolved."""
    spaced = folder.rename(folder.with_name("i n"))
    monkeypatch.setenv("HOME", str(spaced.parent))
    for root in (f"file://{spaced.parent}/i%20n", f"file:{spaced.parent}/i%20n", "~/i n"):
        assert _keys(Lines(root)) == ["b.txt", "b/a.txt"]


def test_an_empty_source_is_named(folder):
    """Folder and pattern are said, and files that were passed over."""
    for root, pattern, message in (
        (folder / "none", "*.txt", r"none' does not exist; give the folder with '\*\.txt'"),
        (folder / "b.txt", "*.txt", "is not a folder"),
        (folder, "*.nc", r"no file in .*in' matches '\*\.nc'\.$"),
        (folder / "b", "*c.txt", r"\(apart from 1 that are hidden or unfinished\)"),
    ):
        with pytest.raises(EmptySourceError, match=message):
            Lines(root, pattern).check()
    with pytest.raises(IndexRangeError, match="index 2 is out of range for 2 items"):
        Lines(folder)[2]


def test_the_listing_travels(folder, monkeypatch):
    """A worker has the coordinator's items, wherever it works and whatever was added."""
    monkeypatch.chdir(folder.parent)
    source = Lines("in")
    assert len(source) == 2
    (folder / "a.txt").write_text("9")
    monkeypatch.chdir("/")
    copy = pickle.loads(pickle.dumps(source))
    assert [_keys(copy), list(copy[0])] == [["b.txt", "b/a.txt"], [1, 2, 3]]


def test_a_domain_may_fingerprint_what_a_file_refers_to(folder):
    """A file that only names others changes with them."""

    class Named(Whole):
        def file_fingerprint(self, path):
            return Path(path).read_text()

    assert Named(folder, "b.txt").fingerprint(0) == "1\n2\n3\n"


def test_outputs_among_the_inputs_are_recognised(folder):
    """By folder and pattern, as the listing would take them."""
    source = Lines(folder)
    places = [folder / "new.txt", folder / "new.csv", folder / ".new.txt", folder.parent / "new.txt"]
    assert [source.is_input(str(place)) for place in places] == [True, False, False, False]


@pytest.fixture
def without_rights():
    """A folder, of which a sub-folder may not be searched by this process."""
    effective = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # not below a folder that only its owner enters
        root = Path(folder)
        root.chmod(0o755)
        for place in ("closed", "open"):
            (root / place).mkdir()
            (root / place / "1.txt").write_text("1")
        (root / "closed").chmod(0)
        if effective == 0:  # who may read everything
            os.seteuid(65534)
        try:
            yield root
        finally:
            os.seteuid(effective)
            (root / "closed").chmod(0o700)


@pytest.mark.parametrize("pattern", ["*.txt", "open/*.txt", "**/*.txt"])
def test_a_folder_that_may_not_be_read_is_told(without_rights, pattern, caplog):
    """What is in it is no item, which may be meant, but never goes unsaid."""
    source = Lines(str(without_rights), pattern)
    assert [source.key(i) for i in range(len(source))] == ["open/1.txt"]
    assert "1 folders may not be read, and what is in them is left out" in caplog.text
    assert str(without_rights / "closed") in caplog.text


def test_a_folder_that_fails_is_an_error(tmp_path, monkeypatch):
    """Its files would be taken for gone."""
    (tmp_path / "bad").mkdir()
    (tmp_path / "1.txt").write_text("1")
    scandir = os.scandir

    def failing(place):
        if Path(place).name == "bad":
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(ComponentError, match="bad cannot be searched: Input/output error"):
        len(Lines(str(tmp_path)))
