"""Files of settings: what is wrong in one is told with its name, within bounds."""

from __future__ import annotations

import cProfile
import json

import pytest

from curator_core import Pipeline
from curator_core.errors import ConfigError
from curator_core.pipeline import mapping_files
from curator_core.pipeline.mapping_files import read_mapping, write_mapping

BOMB = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n" + "".join(
    f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
MERGES = "x0: &x0 {a: 1, b: 2}\n" + "".join(
    f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 10)}]}}\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.yaml", BOMB, "aliases stand for"),
        ("p.yaml", MERGES, "aliases stand for"),
        ("p.yaml", "a: &a [*a]", "contains itself"),
        ("p.yaml", "a: &a {b: {c: *a}}", "contains itself"),
        ("p.yaml", "a: " + "[" * 9000 + "]" * 9000, "levels deep"),
        ("p.json", '{"a": ' + "[" * 200 + "]" * 200 + "}", "levels deep"),
        ("p.json", '{"a": ' + "[" * 90_000 + "]" * 90_000 + "}", "levels deep"),
        ("p.json", '{"a": {"b": 1, "b": 1}}', "'b' is there twice"),
        ("p.yaml", "a: {1: x, 1.0: y}", "'1.0' is there twice"),
        ("p.yaml", "b: &b {c: 1}\na: {<<: *b, d: 1, d: 2}", "'d' is there twice"),
        ("p.yaml", "a: {[1, 2]: x}", "name of an entry"),
        ("p.json", '{"a": {"b": [1, NaN]}}', r"a\.b\.1 is NaN"),
        ("p.json", '{"a": -Infinity}', r'a is -Infinity, .* \{"\$float": "-inf"\}'),
        ("p.json", '{"a": ' + "9" * 5000 + "}", "a value that cannot be read"),
        ("p.yaml", "a: " + "9" * 5000, "a value that cannot be read"),
        ("p.yaml", "a: 2024-13-45", "a value that cannot be read"),
        ("p.yaml", "a: !!int abc", "a value that cannot be read"),
        ("p.yaml", "a: !!bool perhaps", "a value that cannot be read"),
        ("p.yaml", "a: !!timestamp now", "a value that cannot be read"),
        ("p.yaml", "1: a", "the name 1 is no text"),
        ("p.yaml", "", "is empty"),
        ("p.json", "", "Expecting value"),
        ("p.yaml", "# nothing", "is empty"),
        ("p.yaml", "a: \x00", "unacceptable character"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, name, text, says):
    """It is one error, which names the file, and comes before anything grows (what the bombs stand for fills days)."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=rf"(?s){name}.*{says}"):
        read_mapping(tmp_path / name)


def test_encodings(tmp_path):
    """A byte order mark is no part of a name; another encoding is an error; so is a folder."""
    for name, text in (("p.yaml", "a: 1"), ("p.json", '{"a": 1}')):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert read_mapping(tmp_path / name) == {"a": 1}
        (tmp_path / name).write_text(text, encoding="utf-16")
        with pytest.raises(ConfigError, match=name):
            read_mapping(tmp_path / name)
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.yaml: it is no file"):
        read_mapping(tmp_path / "folder.yaml")


def test_entries_over_merged_ones(tmp_path):
    """An entry of one's own takes the place of a merged one, as YAML says, and aliases may be used within bounds."""
    (tmp_path / "p.yaml").write_text("b: &b {c: 1, d: 2}\na: {<<: *b, d: 3}\ne: [*b, *b]")
    found = read_mapping(tmp_path / "p.yaml")
    assert found["a"] == {"c": 1, "d": 3}
    assert found["e"] == [{"c": 1, "d": 2}] * 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("-2E5", -2e5), (".5", 0.5), ("010", "010"), ("1:30", "1:30"), ("1_000", 1000), ("0x1f", 31)],
)
def test_numbers(tmp_path, text, value):
    """Numbers are those that people mean: none in base 60, none with leading zeros, all with an exponent."""
    (tmp_path / "p.yaml").write_text(f"a: {text}")
    found = read_mapping(tmp_path / "p.yaml")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["1e-3", "010", "1:30", "5", "yes", "2024-01-01", ".inf", "~", "1e5", "-.5"])
def test_a_text_that_looks_like_a_number_stays_one(tmp_path, text):
    """What is written as a text is read as one."""
    write_mapping(tmp_path / "p.yaml", {"a": text})
    assert read_mapping(tmp_path / "p.yaml") == {"a": text}


def test_many_entries(tmp_path):
    """Reading takes work in proportion to the entries, counted in calls: seconds depend on who else computes."""
    calls = []
    for n_entries in (500, 4_000):
        write_mapping(tmp_path / "p.yaml", {"a": {f"name-{n}": n for n in range(n_entries)}})
        profile = cProfile.Profile()
        assert len(profile.runcall(read_mapping, tmp_path / "p.yaml")["a"]) == n_entries
        calls.append(sum(entry.callcount for entry in profile.getstats()))
    assert 6 * calls[0] < calls[1] < 9 * calls[0]


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    """Nobody writes tens of MiB by hand; such a file is another one."""
    monkeypatch.setattr(mapping_files, "MAX_BYTES", 1 << 20)
    path = tmp_path / "data.json"
    with path.open("wb") as file:
        file.truncate((1 << 20) + 1)
    with pytest.raises(ConfigError, match=r"more than 1 MiB"):
        read_mapping(path)


def test_thousands_of_unknown_entries_are_told_in_one_short_line(tmp_path):
    """The message names the first of them."""
    path = tmp_path / "data.json"
    path.write_text(json.dumps({f"k{n}": n for n in range(5_000)}), encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown entry k0") as caught:
        Pipeline.load(path)
    assert len(str(caught.value)) < 1_000
