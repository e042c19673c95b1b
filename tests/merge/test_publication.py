"""How much may be missing from a published dataset, and what its manifest says."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from curator_core.errors import ConfigError, OutputError
from curator_core.merge.archive import item_version
from curator_core.merge.publication import Changes, Manifest, Tolerance
from curator_core.storage.locations import location_of


@pytest.mark.parametrize(
    ("max_missing", "n_missing", "n_items", "is_allowed"),
    [
        (0, 0, 5, True),
        (0, 1, 5, False),
        (2, 2, 5, True),
        (2, 3, 5, False),
        (9, 5, 5, False),
        (0.2, 1, 5, True),
        (0.2, 2, 5, False),
        (0.99, 0, 0, True),
        (0.29, 29, 100, True),
        (0.29, 30, 100, False),
        (np.float32(0.2), 1, 5, True),
        (np.int64(2), 2, 5, True),
        (Fraction(1, 5), 1, 5, True),
        (1, 0, 0, True),
    ],
)
def test_a_number_or_a_fraction_may_be_missing_but_never_all(max_missing, n_missing, n_items, is_allowed):
    """A dataset of nothing is none."""
    assert Tolerance(max_missing).allows(n_missing, n_items) is is_allowed


@pytest.mark.parametrize("max_missing", [-1, -0.1, 1.0, 2.5, math.nan, math.inf, "0.1", True, [1]])
def test_other_numbers_are_refused(max_missing):
    """What could be meant is said."""
    with pytest.raises(ConfigError, match="max_missing must be a number of items or a fraction below 1"):
        Tolerance(max_missing)


def test_the_data_version_is_that_of_the_items():
    """Another item, fingerprint, configuration or order is another version; what is missing is not in it."""
    held = {"a": "1", "b": None}
    version = Manifest("config", held, {}).data_version
    assert Manifest("config", dict(held), {"c": "new"}).data_version == version
    others = [{"a": "1"}, {"a": "2", "b": None}, {"b": None, "a": "1"}, {"a": "1", "b": "None"}]
    versions = {Manifest("config", other, {}).data_version for other in others}
    assert len(versions | {version, Manifest("other", held, {}).data_version}) == 6


def test_a_manifest_is_written_once(tmp_path):
    """Its file is replaced when it says something else, and only then."""
    place = location_of(tmp_path / "out" / "data_manifest.json")
    manifest = Manifest("config", {"ä": "1"}, {"b": "failed: ValueError: x"})
    assert manifest.write(place) == Changes(added=("ä",))
    written = place.work_path.stat()
    assert json.loads(place.read()) == {
        "data_version": manifest.data_version,
        "config_hash": "config",
        "items": [{"key": "ä", "fingerprint": "1", "version": item_version("ä", "1", "config")}],
        "missing": {"b": "failed: ValueError: x"},
    }
    assert manifest.write(place) == Changes()
    assert (place.work_path.stat().st_ino, place.work_path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert Manifest("config", {"ä": "2"}, {}).write(place) == Changes(changed=("ä",))
    assert json.loads(place.read())["items"][0]["fingerprint"] == "2"


def test_what_a_publication_changed_is_told(tmp_path):
    """Also by another configuration, and over something that is no manifest."""
    place = location_of(tmp_path / "data_manifest.json")
    place.work_path.write_text('{"items": [3]}')
    assert Manifest("config", {"a": "1", "b": None, "c": "1"}, {}).write(place) == Changes(added=("a", "b", "c"))
    assert Manifest("config", {"d": "1", "a": "2", "b": None}, {}).write(place) == Changes(("d",), ("a",), ("c",))
    assert Manifest("config", {"d": "1", "a": "2", "b": None}, {"c": "failed"}).write(place) == Changes()
    assert Manifest("other", {"a": "2"}, {}).write(place) == Changes((), ("a",), ("d", "b"))


def test_a_manifest_that_cannot_be_written_is_named(tmp_path):
    """A folder stands in its place."""
    (tmp_path / "data_manifest.json" / "x").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"data_manifest\.json cannot be written"):
        Manifest("config", {"a": "1"}, {}).write(location_of(tmp_path / "data_manifest.json"))


def test_what_a_killed_writing_left_goes(tmp_path):
    """Half a manifest stays beside the whole one until the next is written."""
    place = location_of(tmp_path / "data_manifest.json")
    with place.publication() as staged:
        staged.write_text("{}")
        left = staged.rename(staged.with_name(f"{staged.name}0"))
        staged.write_text("{}")
    assert left.exists()
    Manifest("config", {"a": None}, {}).write(place)
    assert [path.name for path in tmp_path.iterdir()] == ["data_manifest.json"]
