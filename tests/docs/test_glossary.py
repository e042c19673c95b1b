"""The glossary: one row for a word, and what its last column names is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from curator_core.cli import cli

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "glossary.md"
ROWS = re.findall(r"^\| (?!word|---)(.*?) \| (.*?) \| (.*?)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
PUBLIC = ("curator_core", "curator_core.workflow", "curator_core.store", "curator_dagster")


def found(name):
    """Whether something public, or of a module with its whole name, is called that."""
    if name.startswith("curator "):
        return name.removeprefix("curator ") in cli.list_commands(click.Context(cli))
    parts = name.split(".")
    places = PUBLIC if not name.startswith("curator_") else [".".join(parts[: _n_lower(parts)])]
    rest = parts if not name.startswith("curator_") else parts[_n_lower(parts) :]
    return any(_has(import_module(place), rest) for place in places)


def _n_lower(parts):
    """How many parts name packages and modules; what follows is a class, or a function of the last module."""
    n = next((k for k, part in enumerate(parts) if part[0].isupper()), len(parts) - 1)
    return min(n, len(parts) - 1)


def _has(place, names):
    for name in names[:-1]:
        place = getattr(place, name, None)
    return hasattr(place, names[-1]) or names[-1] in getattr(place, "__annotations__", ())


@pytest.mark.parametrize("name", sorted({name for *_, code in ROWS for name in re.findall("`(.*?)`", code)}))
def test_a_name_in_code_is_there(name):
    """A class, function, attribute or command."""
    assert found(name)


def test_a_word_is_one_thing():
    """No word has two rows, and each is explained in one sentence."""
    words = [word for words, *_ in ROWS for word in words.split(", ")]
    assert len(words) > 40
    assert sorted(words) == sorted(set(words))
    assert [words for words, said, _ in ROWS if not said.endswith(".") or ". " in said] == []
