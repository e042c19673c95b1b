"""Parquet, JSON lines and Feather files as tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, ipc, parquet

from curator_core.domains.table import FeatherSource, JSONLinesSource, ParquetSource
from curator_core.domains.table.columns import CommonTypes, joined, type_named
from curator_core.domains.table.parquet_files import in_range
from curator_core.errors import ComponentError, ConfigError
from curator_core.testing import SourceContract

TABLE = pa.table(
    {"a": [1, None, 3, 4], "b": ["x", "y", None, "z"], "t": pa.array([0, 1, 2, 3], pa.timestamp("us", "UTC"))}
)


class TestParquetSource(SourceContract):
    def make_source(self, tmp_path):
        parquet.write_table(TABLE, tmp_path / "a.parquet", row_group_size=2)
        return ParquetSource(str(tmp_path), row_groups_per_index=1)

    def is_equal(self, first, second):
        return first.equals(second)


class TestJSONLinesSource(SourceContract):
    def make_source(self, tmp_path):
        (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
        (tmp_path / "b.jsonl").write_text('{"a": 2.5, "b": "x"}\n')
        return JSONLinesSource(str(tmp_path))

    def is_equal(self, first, second):
        return first.equals(second)


class TestFeatherSource(SourceContract):
    def make_source(self, tmp_path):
        feather.write_feather(TABLE, tmp_path / "a.feather", chunksize=3)
        return FeatherSource(str(tmp_path), batches_per_index=1)

    def is_equal(self, first, second):
        return first.equals(second)


def test_row_groups_columns_and_conditions(tmp_path):
    """What is asked for, and no more."""
    parquet.write_table(TABLE, tmp_path / "a.parquet", row_group_size=2)
    source = ParquetSource(str(tmp_path), row_groups_per_index=1)
    assert [source.key(index) for index in range(2)] == ["a.parquet#0", "a.parquet#1"]
    assert pa.concat_tables(next(source[index]) for index in range(2)).equals(TABLE)
    (found,) = ParquetSource(str(tmp_path), columns=["b"], filter=[["a", ">", 1], ["b", "in", ["z", "q"]]])[0]
    assert found.to_pydict() == {"b": ["z"]}
    for options, message in (
        ({"filter": [["a", "~", 1]]}, "conditions"),
        ({"columns": ["q"]}, "no file has a column 'q'"),
    ):
        with pytest.raises(ConfigError, match=message):
            ParquetSource(str(tmp_path), **options).check()


def test_a_damaged_page_fails(tmp_path):
    """Which is read as other values where checksums are not compared."""
    path = tmp_path / "a.parquet"
    table = pa.table({"a": np.arange(1000)})
    parquet.write_table(table, path, write_page_checksum=True, use_dictionary=False, compression="none")
    content = bytearray(path.read_bytes())
    content[4000] ^= 1
    path.write_bytes(content)
    assert not next(ParquetSource(str(tmp_path), verify=False)[0]).equals(table)
    with pytest.raises(ComponentError, match=r"a.parquet: cannot be read: .*CRC checksum"):
        next(ParquetSource(str(tmp_path))[0])


def test_times_beyond_nanoseconds_are_right(tmp_path):
    """Spark's 96 bits hold the year 9999, which 64 bits of nanoseconds do not."""
    days = pa.array([0, 253_370_775_600_000_000, None], pa.timestamp("us"))
    parquet.write_table(pa.table({"t": days}), tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    assert next(ParquetSource(str(tmp_path))[0])["t"].equals(pa.chunked_array([days]))
    for name, values in {"b": days[:1], "c": days[:2]}.items():
        record = pa.StructArray.from_arrays([values], ["t"])
        parquet.write_table(pa.table({"r": record}), tmp_path / f"{name}.parquet", use_deprecated_int96_timestamps=True)
    source = ParquetSource(str(tmp_path))
    assert next(source[1])["r"].to_pylist()[0]["t"].year == 1970
    with pytest.raises(ComponentError, match=r"c.parquet: .*'r' may have times beyond nanoseconds"):
        next(source[2])


def test_times_of_json_keep_their_zone(tmp_path):
    """Which pyarrow reads and forgets; times of which some have none stay texts."""
    (tmp_path / "a.jsonl").write_text(
        '{"t": "2020-01-01T00:00:00+02:00", "day": "2020-01-01", "some": "2020-01-01 00:00:00"}\n'
        '{"t": "2019-12-31 22:00:00Z", "some": "2020-01-01 00:00:00Z"}\n{"some": null}\n'
    )
    table = next(JSONLinesSource(str(tmp_path))[0])
    assert [str(kind) for kind in table.schema.types] == ["timestamp[s, tz=UTC]", "timestamp[s]", "string"]
    assert table["t"].cast("int64").to_pylist() == [1_577_829_600, 1_577_829_600, None]
    assert table["some"].to_pylist() == ["2020-01-01 00:00:00", "2020-01-01 00:00:00Z", None]


def test_times_within_records_and_lists_keep_their_zone(tmp_path):
    """Each by itself; nulls stay where they are."""
    lines = [
        {"r": {"t": "2020-01-01T00:00:00+02:00", "n": 1}, "l": [{"s": ["2020-01-01 00:00:00Z"]}, None, {}]},
        {"r": None, "l": []},
        {"r": {"t": None, "day": "2020-01-02"}},
        {"r": {"t": "2020-01-01 01:02:03Z"}, "l": [{"s": [None, "2020-01-01 00:00:00"]}]},
        {"n": [None, None, ["2020-01-01 00:00:00"]]},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = next(JSONLinesSource(str(tmp_path))[0])
    table.validate(full=True)
    times = [datetime(2019, 12, 31, 22, tzinfo=UTC), None, datetime(2020, 1, 1, 1, 2, 3, tzinfo=UTC)]
    found = table["r"].to_pylist()
    assert [None if row is None else row["t"] for row in found] == [times[0], None, *times[1:], None]
    assert str(table["n"].to_pylist()[4]) == "[None, None, [datetime.datetime(2020, 1, 1, 0, 0)]]"
    assert table.schema.field("r").type.field("day").type == pa.timestamp("s")
    assert table["l"].to_pylist() == [
        [{"s": ["2020-01-01 00:00:00Z"]}, None, {"s": None}],
        [],
        None,
        lines[3]["l"],
        None,
    ]


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("timestamp[us]", "2020-01-01T00:00:00+02:00", r"with a zone: say schema={'t': 'timestamp\[us, tz=UTC\]'}"),
        ("timestamp[us, tz=UTC]", "2020-01-01T00:00:00", r"without a zone: say schema={'t': 'timestamp\[us\]'}"),
    ],
)
def test_given_times_have_a_zone_or_none(tmp_path, kind, text, message):
    """As those of CSV files; pyarrow would leave out what is written, or add what is not."""
    (tmp_path / "a.jsonl").write_text(f'{{"t": "{text}"}}\n{{"t": null}}\n')
    with pytest.raises(ComponentError, match=f"a.jsonl: cannot be read: column 't' has times {message}"):
        next(JSONLinesSource(str(tmp_path), schema={"t": kind})[0])


def test_times_that_no_unit_holds_fail():
    """One is too far for nanoseconds, another has some, which a coarser unit would cut off."""
    fine = pa.table({"t": pa.array([1, 5, None], pa.timestamp("ns"))})
    far = pa.array([0, 253_370_775_600, None], pa.timestamp("s"))
    with pytest.raises(ValueError, match=r"'t' has times so far away that us is the finest unit .*columns="):
        in_range(fine, lambda unit: pa.table({"t": far.cast(pa.timestamp(unit))}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n", "holds no rows"),
        (b'{"a": 1}\n{"a": "x"}\n', "changed from number to string in row 1"),
        (b'{"a": 1}\n{"a":', "Invalid value. in row 1"),
        (b'{"a": 12345678901234567890}\n', "integers beyond 2\\*\\*53"),
        (b'{"a": "\xe9"}\n', "UTF8"),
        (b' [{"a": 1}]\n', "one list of JSON"),
    ],
)
def test_bad_lines_of_json_fail(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(ComponentError, match=f"a.jsonl: cannot be read: .*{message}"):
        next(JSONLinesSource(str(tmp_path))[0])


def test_types_of_json_can_be_given(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 12345678901234567890, "b": 1}\n{"b": 2.5}\n')
    (table,) = JSONLinesSource(str(tmp_path), schema={"a": "decimal128(38, 0)"})[0]
    assert table.to_pylist() == [{"a": Decimal(12345678901234567890), "b": 1.0}, {"a": None, "b": 2.5}]
    (tmp_path / "a.jsonl").write_bytes('{"a": "é"}\n'.encode("utf-16"))
    with pytest.raises(ComponentError, match="say so with encoding='utf-16'"):
        next(JSONLinesSource(str(tmp_path))[0])
    assert next(JSONLinesSource(str(tmp_path), encoding="utf-16")[0])["a"].to_pylist() == ["é"]


def test_arrow_files_of_every_kind(tmp_path):
    """Files and streams, whole and by batches; one that is cut off fails."""
    feather.write_feather(TABLE, tmp_path / "a.feather", chunksize=3)
    with ipc.new_stream(tmp_path / "b.feather", TABLE.schema) as stream:
        stream.write_table(TABLE)
    (tmp_path / "c.feather").write_bytes((tmp_path / "a.feather").read_bytes()[:-30])
    source = FeatherSource(str(tmp_path))
    assert all(next(source[index]).equals(TABLE) for index in range(2))
    with pytest.raises(ComponentError, match=r"c.feather: cannot be read: Not an Arrow file"):
        next(source[2])
    parts = FeatherSource(str(tmp_path), "a.feather", columns=["a"], batches_per_index=1)
    assert [next(parts[index]).to_pydict() for index in range(2)] == [{"a": [1, None, 3]}, {"a": [4]}]


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("int8", "uint8", "int16"),
        ("int64", "uint64", None),
        ("int64", "float32", "float64"),
        ("null", "string", "string"),
        ("string", "int64", None),
        ("bool", "int64", None),
        ("date32", "timestamp[ms]", "timestamp[ms]"),
        ("timestamp[s]", "timestamp[us]", "timestamp[us]"),
        ("timestamp[s, tz=UTC]", "timestamp[s]", None),
        ("decimal128(5, 2)", "decimal128(6, 4)", "decimal128(7, 4)"),
        ("string", "large_string", "large_string"),
    ],
)
def test_types_are_joined_where_no_value_changes(one, two, expected):
    """In whichever order they come."""
    one, two = (type_named(text, "here") for text in (one, two))
    wanted = None if expected is None else type_named(expected, "here")
    assert joined(one, two) == joined(two, one) == wanted
    lists = joined(pa.list_(one), pa.list_(two))
    assert lists == (None if wanted is None else pa.list_(wanted))


@pytest.mark.parametrize("names", list(permutations(["int64", "uint64", "double"])))
def test_types_of_several_files_are_joined_in_any_order(names):
    """Also where the first two alone have no type in common."""
    common = CommonTypes((name, pa.schema([("a", type_named(name, "here"))])) for name in names)
    assert not list(common.conflicts())
    assert common.schema.field("a").type == pa.float64()
