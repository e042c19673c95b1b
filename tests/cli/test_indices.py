"""Index ranges."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator_core.cli.indices import IndexRanges, expanded
from curator_core.errors import IndexRangeError


def parse(text):
    return IndexRanges().convert(text, None, None)


def test_ends_are_included():
    """A range includes both of its ends."""
    assert expanded(parse("0,5-9"), 10) == [0, 5, 6, 7, 8, 9]


def test_order_is_kept_and_repeats_are_dropped():
    """Indices come in the order given, each once."""
    assert expanded(parse("4, 1-3,2"), 10) == [4, 1, 2, 3]


@pytest.mark.parametrize("part", ["", "x", "5-", "-5", "1-2-3", "1.5", "٣"])
def test_bad_part_is_named(part):
    """What is no range is named, even in the middle."""
    with pytest.raises(click.BadParameter, match=f"^'{part}' is neither an index nor a range"):
        parse(f"0,{part},7")


def test_backward_range_is_refused():
    """A range that runs backwards says how to write it."""
    with pytest.raises(click.BadParameter, match=r"'9-5' runs backwards. Write 5-9"):
        parse("9-5")


def test_out_of_range_is_refused_before_it_is_expanded():
    """An absurdly long range is refused at once, with the number of items."""
    with pytest.raises(IndexRangeError, match="999999999999999 is out of range, the source has 3 items"):
        expanded(parse("0-999999999999999"), 3)


@given(st.lists(st.integers(0, 50), min_size=1, unique=True))
def test_lists_come_back(indices):
    """Any list of different indices, written with commas, comes back as it was."""
    assert expanded(parse(",".join(map(str, indices))), 51) == indices
