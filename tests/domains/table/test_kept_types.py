"""Types that were found are kept: what did not change isn't read for them again."""

from __future__ import annotations

import os
import pickle
from typing import ClassVar

import pytest

from curator_core.domains.table import CSVSource
from curator_core.errors import ComponentError
from curator_core.storage.places import cache_directory


class Counted(CSVSource):
    """CSV files; says which of them were read for their types."""

    name = "counted"
    seen: ClassVar[list[str]] = []

    def _whole(self, content, layout):
        self.seen.append(content.to_pybytes().decode())
        return super()._whole(content, layout)


def files_read(folder, **options):
    """How many files a new source reads for types."""
    Counted.seen.clear()
    source = Counted(str(folder), **options)
    source.check()
    return len(Counted.seen), source


@pytest.mark.parametrize("options", [{}, {"rows_per_index": 1}])
def test_only_what_changed_is_read_for_types(tmp_path, options):
    """Whether files are items, or rows; another configuration, or what is damaged, starts anew."""
    for number in range(5):
        (tmp_path / f"{number}.csv").write_text(f"zip,x\n0{number},{number}\n")
    (tmp_path / "4.csv").write_text("zip,x\n04,warm\n")
    assert files_read(tmp_path, **options)[0] == 5
    n_read, source = files_read(tmp_path, **options)
    assert n_read == 0
    assert next(source[3]).to_pylist() == [{"zip": "03", "x": 3}]
    with pytest.raises(ComponentError, match=r"'x' holds text .* numbers .* in 4 others"):
        next(source[4])
    (tmp_path / "4.csv").write_text("zip,x\n04,41\n")
    (tmp_path / "0.csv").unlink()
    n_read, source = files_read(tmp_path, **options)
    assert n_read == 1
    assert [next(source[index])["x"].to_pylist() for index in range(4)] == [[1], [2], [3], [41]]
    for kept in (cache_directory() / "types").iterdir():
        os.utime(kept, (0, 0))  # what is of no use for long goes
    assert files_read(tmp_path, **options, na=["-"])[0] == 4
    assert len(list((cache_directory() / "types").iterdir())) == 1
    assert files_read(tmp_path, **options)[0] == 4
    for kept in (cache_directory() / "types").iterdir():
        kept.write_text(kept.read_text().replace("1", "2", 1))
    assert files_read(tmp_path, **options)[0] == 4
    assert files_read(tmp_path, **options)[0] == 0


def test_a_folder_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    """Types are found anew, every time."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("x\n1\n")
    (tmp_path / "no-folder").write_text("")
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(tmp_path / "no-folder"))
    assert [files_read(tmp_path, pattern="*.csv")[0] for _ in range(2)] == [2, 2]


def test_what_was_read_for_types_is_not_read_again(tmp_path):
    """Once, in this process, as long as the fingerprint is the same, and with what is to be said of it."""
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("x,y\n7,8\n")
    before = (tmp_path / "a.csv").stat()
    source = CSVSource(str(tmp_path))
    source.check()
    elsewhere = CSVSource(str(tmp_path))
    elsewhere.check()
    for name, value in (("a", 5), ("b", 66)):
        (tmp_path / f"{name}.csv").write_text(f"x,y\n{value},8\n")
    os.utime(tmp_path / "a.csv", ns=(before.st_atime_ns, before.st_mtime_ns))  # as if it were as before
    assert [next(source.reading(["x"])[index]).to_pydict() for index in (0, 0, 1)] == [{"x": [n]} for n in (7, 5, 66)]
    assert next(pickle.loads(pickle.dumps(elsewhere))[0])["x"].to_pylist() == [5]
    assert next(elsewhere[0])["x"].to_pylist() == [5]


ODD = "id,zip,x,big,day,at,is,none\n1,007,1.5,18446744073709551615,2020-01-02,2020-01-02T03:04:05,true,\n"
ODD += "2,010,,3,2020-01-03,2020-01-02T03:04:05,false,\n"


def test_kept_types_read_what_found_ones_read(tmp_path, caplog):
    """Values, types and what is said of them; and of a file that changes meanwhile, what is there now."""
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(ODD)
    found = CSVSource(str(tmp_path))
    (first,) = found[0]
    said = [message for message in caplog.messages if "is read as" in message]
    assert len(said) == 2
    found.check()
    caplog.clear()
    kept = CSVSource(str(tmp_path))
    kept.check()
    (again,) = kept[0]
    assert again.equals(first)
    os.utime(tmp_path / "a.csv", (0, 0))
    caplog.clear()
    held = CSVSource(str(tmp_path))
    held.check()
    assert next(held.reading(["zip"])[0]).equals(first.select(["zip"]))
    assert [message for message in caplog.messages if "is read as" in message] == said[:1]
    caplog.clear()
    assert next(kept[0]).equals(first)
    assert again.schema.equals(first.schema)
    assert [message for message in caplog.messages if "is read as" in message] == said
    (tmp_path / "b.csv").write_text(ODD.replace("\n1,", "\n01,"))
    (changed,) = kept[1]
    assert changed["id"].to_pylist() == ["01", "2"]
