"""Which files of a folder are items."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curator_core import run_pipeline
from curator_core.storage.input_files import is_unfinished, text_key
from curator_core.testing import FileSource, JsonSink


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("a.txt", "*", False),
        ("sub/a.txt", "*", False),
        (".a.txt", "*.txt", True),
        (".a.txt", ".*.txt", False),
        (".cache/a.txt", "*.txt", True),
        ("a.txt.part", "*", True),
        ("a.part", "*.part", False),
        ("A.CRDOWNLOAD", "*", True),
        ("a.txt~", "*", True),
        ("#a.txt#", "*", True),
        ("a.tmp", "*", True),
        ("a.aselmdb-lock", "*", True),
        ("partial.txt", "*", False),
    ],
)
def test_unfinished_files(name: str, pattern: str, *, expected: bool) -> None:
    """Hidden files, backups and unfinished downloads are none, unless the pattern asks for them."""
    assert is_unfinished(name, pattern) is expected


def test_a_key_of_a_name_that_is_no_utf8() -> None:
    """Bytes that UTF-8 cannot hold are written out, and everything else stays."""
    assert text_key(os.fsdecode(b"na\xefve.txt")) == "na\\xefve.txt"
    assert text_key("naïve.txt") == "naïve.txt"


def test_odd_files_of_a_folder(tmp_path: Path) -> None:
    """A pipe among the files fails by name, a name in Latin-1 has an escaped key, an unfinished copy is no item."""
    data = tmp_path / "data"
    data.mkdir()
    for name in (b"a.txt", b"na\xefve.txt", b".b.txt", b"c.txt.part"):
        Path(os.fsdecode(os.fsencode(data) + b"/" + name)).write_text("1")
    os.mkfifo(data / "pipe.txt")
    source = FileSource(str(data), "*", by_content=True)
    pipeline = source.write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "m.db")
    run_pipeline(pipeline, progress=False, on_error="skip")
    assert [source.key(index) for index in range(len(source))] == ["a.txt", "na\\xefve.txt", "pipe.txt"]
    assert list(pipeline.failed_indices) == [2]
    assert "a named pipe, not a file" in pipeline.failed_indices[2]
