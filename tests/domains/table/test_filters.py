"""Filters of every domain, on tables."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from curator_core.errors import ComponentError
from curator_core.filters.casting import CastFilter
from curator_core.filters.nonfinite import NonFiniteFilter
from curator_core.filters.selection import SelectFilter
from curator_core.filters.statistics.fields import numeric_fields
from curator_core.filters.units import UnitsFilter
from curator_core.filters.values import FieldError
from curator_core.filters.values.kinds import fields_of

TABLE = pa.table(
    {
        "n": pa.array([1, None, 2**53 + 1]),
        "x": pa.array([0.5, float("nan"), None]),
        "ok": pa.array([True, None, False]),
        "d": pa.array([Decimal("1.25"), None, Decimal("2.50")]),
        "s": pa.array(["a", None, "b"]).dictionary_encode(),
        "t": pa.array([0, 1, None], pa.timestamp("s")),
    }
)


def applied(step, table=TABLE):
    """What a filter makes of a table."""
    return next(iter(step(iter([table]))))


def test_missing_numbers_are_nan_and_exact_where_they_stay():
    """Integers are cast without becoming floats; what is missing stays so."""
    assert dict(numeric_fields(TABLE)).keys() == {"n", "x", "ok", "d"}
    np.testing.assert_array_equal(dict(numeric_fields(TABLE))["ok"], [1, np.nan, 0])
    made = applied(CastFilter({"n": "uint64", "x": "float32", "ok": "int8"}))
    assert [str(kind) for kind in made.schema.types[:3]] == ["uint64", "float", "int8"]
    assert made["n"].to_pylist() == [1, None, 2**53 + 1]
    assert str(made["x"].to_pylist()) == "[0.5, nan, None]"
    assert made["ok"].to_pylist() == [1, None, 0]
    with pytest.raises(ComponentError, match="int32 does not have 9007199254740993"):
        applied(CastFilter({"n": "int32"}))


def test_what_is_filled_keeps_its_type():
    """An integer column, some of whose values were missing, too."""
    table = TABLE.select(["n", "x"]).slice(0, 2)
    made = applied(NonFiniteFilter("fill", fill_value={"n": 7, "x": 0.0}), table)
    assert made.to_pydict() == {"n": [1, 7], "x": [0.5, 0.0]}
    assert made.schema.types == table.schema.types
    assert applied(NonFiniteFilter("drop"), table).to_pydict() == {"n": [1], "x": [0.5]}


def test_columns_are_chosen_renamed_and_converted():
    """Metadata say the unit."""
    assert applied(SelectFilter(["s", "n"], rename={"s": "name"})).column_names == ["name", "n"]
    table = pa.table([pa.array([1.0, None])], pa.schema([pa.field("p", pa.float64(), metadata={"units": "hPa"})]))
    made = applied(UnitsFilter({"p": "Pa"}), table)
    assert made["p"].to_pylist() == [100.0, None]
    assert fields_of(made).attributes("p") == {"units": "Pa"}


def test_content_tells_missing_and_nan_apart():
    """So that two items with one in the place of the other are not the same."""
    tables = (pa.table({"x": [1.0, other]}) for other in (None, float("nan"), 2.0))
    contents = [str([(name, values.tolist()) for name, values in fields_of(table).content()]) for table in tables]
    assert len(set(contents)) == 3


def test_a_batch_is_no_field_of_all_its_columns():
    """Statistics refuse it, as other filters do: as an array its columns would be one."""
    with pytest.raises(FieldError, match="RecordBatch has no fields"):
        list(numeric_fields(pa.record_batch({"x": [1, 2], "y": [3, 4]})))
