"""The page on where things are names every folder, in the order that the import layers keep."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "architecture.md").read_text(encoding="utf-8")
FOLDERS = re.findall(r"`(curator_(?:core|dagster)(?:/\w+)+)`", "\n".join(re.findall(r"^\|.*\|$", PAGE, re.MULTILINE)))


def layers(package):
    """Members of a package, from top to bottom: each with the number of its layer."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = [c["layers"] for c in contracts if c["type"] == "layers" and c["containers"] == [package]]
    return {name: number for number, layer in enumerate(found) for name in re.findall(r"\w+", layer)}


def test_every_folder_is_named_once():
    """A folder that is added, or goes, belongs into the page."""
    there = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("curator_*/**/__init__.py")}
    assert sorted(FOLDERS) == sorted(there - {"curator_core", "curator_dagster"})


@pytest.mark.parametrize("package", ["curator_core", "curator_dagster"])
def test_folders_stand_in_the_order_of_their_layers(package):
    """What stands above imports what stands below."""
    numbers = [layers(package)[match[1]] for name in FOLDERS if (match := re.fullmatch(rf"{package}/(\w+)", name))]
    assert numbers == sorted(numbers)
