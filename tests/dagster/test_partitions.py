"""Item keys as partition keys."""

from hypothesis import example, given
from hypothesis import strategies as st

from curator_dagster import partition_key

KEYS = st.text(min_size=1, max_size=400)


@given(KEYS)
@example("a,b")
@example("a...b")
@example("x" * 255)
@example("x" * 256)
@example(" a")
@example("\ud800")
def test_a_partition_key_is_one_that_dagster_takes(key):
    """No comma, no `...`, no control character, at most 255 characters, no white space at its ends."""
    safe = partition_key(key)
    assert 0 < len(safe) <= 255
    assert "," not in safe
    assert "..." not in safe
    assert all(character.isprintable() or not character.isascii() for character in safe)
    assert safe == safe.strip()
    safe.encode()


@given(st.lists(KEYS, unique=True, max_size=20))
def test_distinct_keys_stay_distinct(keys):
    """Also those that look like a replacement of another."""
    found = [partition_key(key) for key in keys]
    assert len(set(found)) == len(found)
    again = [partition_key(key) for key in found]
    assert len({*found, *again}) == len(set(found)) + sum(a not in found for a in again)


@given(KEYS)
def test_a_replacement_taken_as_a_key_gets_one_of_its_own(key):
    """An item that is really called like another's replacement does not collide with it."""
    safe = partition_key(key)
    if safe != key:
        assert partition_key(safe) != safe


def test_a_plain_key_is_its_own_partition_key():
    """Slashes, dots and unicode are fine."""
    for key in ("train/g2_000.aselmdb", "übung.nc", "a b.txt", "2024-01-01"):
        assert partition_key(key) == key
