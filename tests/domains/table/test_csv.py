"""CSV files as tables: exact values, or an error that names the file and what to do."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import pickle
import subprocess
import sys
import zipfile
from random import Random

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv

from curator_core.domains.table import CSVSource
from curator_core.domains.table.csv_files import quotes
from curator_core.errors import ComponentError, ConfigError
from curator_core.storage.places import cache_directory
from curator_core.testing import SourceContract


class TestCSVSource(SourceContract):
    def make_source(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / f"{name}.csv").write_text("time,temperature\n0,291.5\n60,292\n")
        return CSVSource(str(tmp_path))

    def is_equal(self, first, second):
        return first.equals(second)


def source_of(tmp_path, *contents, **options):
    """A source of files with these contents."""
    for number, content in enumerate(contents):
        (tmp_path / f"f{number}.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    source = CSVSource(str(tmp_path), **options)
    source.check()
    return source


def zipped(text):
    """A zip file of one file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("inner.csv"), text)
    return packed.getvalue()


COMMENTED = [{"a": 1, "b": "#x\n#y"}, {"a": 2, "b": "#z"}]


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("a,b\n1,x\n,y\n", {}, [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]),
        (b"\xef\xbb\xbfa;b\r\n1,5;x\r\n", {"decimal": ","}, [{"a": 1.5, "b": "x"}]),
        ('a,b\n1,"x, y\nz"\n', {}, [{"a": 1, "b": "x, y\nz"}]),
        ("a\tb|c\n1\t2\n", {}, [{"a": 1, "b|c": 2}]),
        (gzip.compress(b"a\n1\n", mtime=0), {}, [{"a": 1}]),
        (zipped("a,b\n1,2\n"), {}, [{"a": 1, "b": 2}]),
        (bz2.compress(b"a\n1\n"), {}, [{"a": 1}]),
        (lzma.compress(b"a\n1\n"), {}, [{"a": 1}]),
        (pa.compress(b"a\n1\n", "zstd", asbytes=True), {}, [{"a": 1}]),
        ('a,b\n5" pipe,1\n"x ""y""\nz",2\n', {"rows_per_index": 1}, [{"a": '5" pipe', "b": 1}]),
        (f"a,b\n{'x' * 200_000},1\n", {}, [{"a": "x" * 200_000, "b": 1}]),
        ("a,b\n1,\xe9\n".encode("latin-1"), {"encoding": "latin-1"}, [{"a": 1, "b": "é"}]),
        ("a,b\n1,2\n".encode("utf-16"), {"encoding": "utf-16"}, [{"a": 1, "b": 2}]),
        ("1,2\n3,4\n", {"header": False}, [{"f0": 1, "f1": 2}, {"f0": 3, "f1": 4}]),
        ("1,2\n", {"header": ["x", "y"]}, [{"x": 1, "y": 2}]),
        ("made by hand\na,b\n1,2\n", {"skip_rows": 1}, [{"a": 1, "b": 2}]),
        ("#a,b\n1,2\n", {}, [{"#a": 1, "b": 2}]),
        ('#"\n\n# x;y\na,b\n#,\n1,"#x\n#y"\n#z"\n2,#z\n#', {"comment": "#"}, COMMENTED),
        ("%sep\r\nsep=;\n% x\na;b\r\n1;2\n%", {"comment": "%"}, [{"a": 1, "b": 2}]),
        ("!x\ra,b\r!\r1,2\r!", {"comment": "!"}, [{"a": 1, "b": 2}]),
        ("# a, b\nNA,x\n2,y\n", {}, [{"# a": None, " b": "x"}, {"# a": 2, " b": "y"}]),
        ("x\n#\na,b\n1,2\n", {"comment": "#", "skip_rows": 1}, [{"a": 1, "b": 2}]),
        ("a,b\nNA,-\n", {"na": ["-"]}, [{"a": "NA", "b": None}]),
        ("a,b\n007,1\n8,2\n", {}, [{"a": "007", "b": 1}, {"a": "8", "b": 2}]),
        ("a,b\n0x10,1\n8,2\n", {}, [{"a": "0x10", "b": 1}, {"a": "8", "b": 2}]),
        ("sep=;\r\na;b,c\r\n1;2\r\n", {}, [{"a": 1, "b,c": 2}]),
        ("a,b\n007,0.5\n", {"schema": {"a": "int32"}}, [{"a": 7, "b": 0.5}]),
        ("a\n18446744073709551615\n1\n", {}, [{"a": 2**64 - 1}, {"a": 1}]),
        ("a\n9007199254740993\n0.5\n", {}, [{"a": "9007199254740993"}, {"a": "0.5"}]),
        ("a\n9007199254740993\n0.5\ninf\n", {}, [{"a": "9007199254740993"}, {"a": "0.5"}, {"a": "inf"}]),
        ("a\n9007199254740994\n0.5\n", {}, [{"a": 2.0**53 + 2}, {"a": 0.5}]),
        ("a,b\n1,2\n3\n4,5\n", {"bad_rows": "report"}, [{"a": 1, "b": 2}, {"a": 4, "b": 5}]),
    ],
)
def test_values_are_what_is_written(tmp_path, content, options, expected):
    """Whatever the dialect is; integers stay integers, and no digit is lost."""
    (table,) = source_of(tmp_path, content, **options)[0]
    assert table.to_pylist() == expected


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty"),
        ("\n\n", {}, "holds no lines"),
        ("a,b\n", {}, "has a header and no rows"),
        (
            "a,b\n1,2\n3\n",
            {},
            r"1 row has not the 2 values of the header: row 2 \(line 3\) has 1: '3'.*bad_rows=",
        ),
        ('a,b\n1,"x\n2,y\n', {}, "a quote is opened \\(line 2\\), and never closed"),
        ('"a\n",b\n1,"x\ny"\n\n3\n', {}, r"row 2 \(line 6\) has 1: '3'"),
        ('#, x\n\na,b\n# "\n1,2\n3\n', {"comment": "#"}, r"row 2 \(line 6\) has 1: '3'"),
        ("a,b\r1,2\r3\r", {}, r"row 2 \(byte 8\) has 1: '3'"),
        ("# made\n# by hand\na,b\n1,2\n", {}, r"first 2 lines begin with '#' \('# made'\).*say comment='#'"),
        ("# made by hand\na\n1\n", {}, "first line begins with '#'.*say comment='#'"),
        ("# made, by hand\na\nb\n", {}, "has 1: 'a'.*say comment='#'"),
        ("# by; me, you\nx;y;z\n", {}, "separated by ',' and ';': .*say comment='#'"),
        ("# me, you\na,b\nx,2\ny,3\n", {}, "first line begins with '#'.*say comment='#'"),
        ("a,b\n1,2\n# checked\n3,4\n", {}, "has 1: '# checked'.*say comment='#'"),
        (b"a\n\xe9\n", {}, "column 'a' has text that is no UTF-8: say what it is with encoding="),
        ("a,a\n1,2\n", {}, "2 columns are named 'a'.*header=False"),
        ("1.5;2\n3;4\n", {}, "numbers alone.*header=False"),
        ("a,b;c\n1,2;3\n", {}, "separated by ',' and ';': say which with separator="),
        ("a\n".encode("utf-16"), {}, "encoding='utf-16'"),
        (gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-12], {}, "cut off or damaged"),
        (zipped("a\n1\n")[:-9], {}, "cut off or damaged"),
        (bz2.compress(b"a,b\n1,2\n" * 99)[:-5], {}, "cut off or damaged"),
        (lzma.compress(b"a,b\n1,2\n" * 99)[:-5], {}, "cut off or damaged"),
        (pa.compress(b"a,b\n1,2\n" * 99, "zstd", asbytes=True)[:-5], {}, "cut off or damaged"),
        (b"a,b\n1,2\n" + b"\0" * 9, {}, "byte of zeros, first at byte 8"),
        ("a,b\n".encode("utf-16-le"), {}, "byte of zeros.*encoding='utf-16-le'"),
        (b"a\xe9,b\n1,2\n", {}, "its header has text that is no UTF-8 .*encoding="),
        ('a,b\n1,"x\n' + "2,y\n" * 40_000, {}, "a quote is opened \\(line 2\\), and never closed"),
        ("by hand\na,b\n1,2\n3,4\n", {}, "Most rows have 2: where the header comes later, say skip_rows="),
        ("a,b\n1,x\n", {"schema": {"b": "int8"}}, "column 'b': 'x' is no int8"),
        ("a,b\n1,300\n", {"schema": {"b": "int8"}}, "column 'b': '300' is no int8"),
    ],
)
def test_what_cannot_be_right_fails_by_name(tmp_path, content, options, message):
    """Nothing is left out or changed without a word."""
    with pytest.raises(ComponentError, match=f"f0.csv: cannot be read: .*{message}"):
        list(source_of(tmp_path, content, **options)[0])


@pytest.mark.parametrize(
    ("end", "value"), [("2.5", "'2.5'"), ("", "''"), ("2.5\n", None), ("2.5\r", None), ('"2.5"', None)]
)
def test_a_last_value_without_an_end_is_named(tmp_path, caplog, end, value):
    """It may be cut off, and is whole in most files; each item says so, and of parts the last one."""
    (tmp_path / "a.csv").write_bytes(f"a,b\n1,2\n3,{end}".encode())
    for options in ({}, {"rows_per_index": 1}):
        caplog.clear()
        source = CSVSource(str(tmp_path), **options)
        tables = [table for index in range(len(source)) for table in source[index]]
        assert sum(len(table) for table in tables) == 2
        said = [f"The last line has no end: its last value, {value}, may be cut off."] if value else []
        assert [record.getMessage() for record in caplog.records] == said


def test_a_header_may_be_long(tmp_path):
    """And what stands after it is the first row, whatever its letters."""
    names = [f"gène {number}" for number in range(20_000)]
    (table,) = source_of(tmp_path, f"{','.join(names)}\n{','.join(map(str, range(20_000)))}\n")[0]
    assert table.column_names == names
    assert table.num_rows == 1


def test_types_are_those_of_the_whole_file(tmp_path):
    """Where pandas, reading by chunks, has another type in each."""
    lines = ["1"] * 200_000 + ["2.5", "", "3"]
    (table,) = source_of(tmp_path, "a,b\n" + "".join(f"{value},x\n" for value in lines))[0]
    assert [str(kind) for kind in table.schema.types] == ["double", "string"]
    expected = pd.read_csv(tmp_path / "f0.csv", low_memory=False)
    pd.testing.assert_frame_equal(table.to_pandas(), expected, check_dtype=False)


@pytest.mark.parametrize("seed", range(40))
def test_lines_are_rows_only_if_none_ends_within_quotes(seed, monkeypatch):
    """Whatever stands within quotes, and wherever what is looked at together ends."""
    monkeypatch.setattr(quotes, "_PIECE", 64)
    monkeypatch.setattr(quotes, "_GROUP", 64 * (1 + seed % 2))
    random = Random(seed)
    within = ["x", ",", '""', "y" * 9, *(["\n"] if seed % 4 == 0 else [])]
    values = ["", "v" * 30, *('"' + "".join(random.choices(within, k=8)) + '"' for _ in range(30))]
    text = "".join(f"{random.choice(values)},{random.choice(values)}\r\n" for _ in range(50))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert quotes.lines_are_rows(text.encode(), ",") == (not any("\n" in value for row in rows for value in row))
    assert not quotes.lines_are_rows(f'5" pipe,1\n{text}'.encode(), ",")
    assert not quotes.lines_are_rows(f'{text}"open'.encode(), ",")


def test_no_byte_is_lost_where_pyarrow_divides_the_text(tmp_path):
    """It drops the second byte of a line's end within quotes there, and refuses rows that are longer than a block."""
    size = 1 << 20
    before = f'"{"x" * (size - 2)}\r\ny",1\r\n'
    (table,) = source_of(tmp_path, f"a,b\r\n{before}{'z' * 2 * size},2\r\n")[0]
    assert [len(value) for value in table["a"].to_pylist()] == [size + 1, 2 * size]
    assert table["a"][0].as_py().endswith("x\r\ny")


def test_parts_are_the_rows_of_the_file(tmp_path):
    """Of the types of the file, whichever process reads them; what is added makes new items alone."""
    lines = [f'{number},"line\n{number}"\n' for number in range(5)]
    content = "a,b\r\n" + "".join(lines) + "\n5.5,last"
    source = source_of(tmp_path, content, rows_per_index=2)
    assert [source.key(index) for index in range(3)] == ["f0.csv#0", "f0.csv#2", "f0.csv#4"]
    whole = arrow_csv.read_csv(tmp_path / "f0.csv", parse_options=arrow_csv.ParseOptions(newlines_in_values=True))
    parts = [next(source[index]) for index in range(3)]
    assert pa.concat_tables(parts).equals(whole)
    elsewhere = pickle.loads(pickle.dumps(source))
    elsewhere._found.clear()
    assert next(elsewhere[0]).equals(parts[0])
    (tmp_path / "f0.csv").write_text(f"{content}\n6,new\n7,new\n", newline="")
    grown = CSVSource(str(tmp_path), rows_per_index=2)
    assert [grown.fingerprint(index) == source.fingerprint(index) for index in range(3)] == [True, True, False]
    assert len(grown) == 4


def test_the_only_file_is_read_once(tmp_path):
    """Its types can be no other than those of most files; columns that it lacks are still named at once."""
    (tmp_path / "f0.csv").write_text("a\n1\n")
    source = CSVSource(str(tmp_path))
    source.check()
    assert next(source[0])["a"].to_pylist() == [1]
    assert not list(cache_directory().glob("types/*"))


def test_files_of_other_types_fail_before_any_item(tmp_path):
    """Text among numbers, by file and column; integers and fractions go together, and a column may lack."""
    source = source_of(tmp_path, "a,b\n1,x\n", "a\n2.5\n", "a,b\nwarm,y\n", "b\n\n1\n")
    assert next(source[1])["a"].to_pylist() == [2.5]
    message = r"f2.csv: .*column 'a' holds text \(string\) here, and numbers \(double\) in 2 others, such as .*f0.csv"
    with pytest.raises(ComponentError, match=message):
        next(pickle.loads(pickle.dumps(source))[2])
    with pytest.raises(ComponentError, match=r"f3.csv: .*column 'b' holds numbers"):
        next(source[3])
    assert next(source.reading(["a"])[0]).column_names == ["a"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema": {"a": "int7"}}, "'int7' is no type of a column"),
        ({"schema": {"q": "int8"}}, "no file has a column 'q'; they have 'a'"),
        ({"separator": "ab"}, "separator must be one ASCII character"),
        ({"encoding": "utf-9"}, "no encoding 'utf-9'"),
        ({"comment": "//"}, "comment must be one ASCII character"),
        ({"comment": "1"}, "values begin with it"),
        ({"rows_per_index": 0}, "at least 1"),
        ({"skip_rows": -1}, "at least 0"),
        ({"separator": ",", "decimal": ","}, "cannot be the mark before decimals"),
        ({"header": ["a", "a"]}, "no two alike"),
        ({"header": []}, "a name for each column"),
    ],
)
def test_bad_configuration_fails_before_work_begins(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        source_of(tmp_path, "a\n1\n", **options)


def test_a_file_that_shrinks_while_it_is_read_ends_no_process(tmp_path):
    """Its text is what was there: a file that is mapped into memory would end the process with SIGBUS."""
    code = (
        "import sys; from pathlib import Path; from curator_core.domains.table.contents import text_of\n"
        "path = Path(sys.argv[1]); text = text_of(path, 'utf-8'); path.write_bytes(b'')\n"
        "assert text.to_pybytes() == b'a,b\\n' + b'1,2\\n' * 9999"
    )
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1,2\n" * 9999)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.csv")], check=True)
