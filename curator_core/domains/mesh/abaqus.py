"""Files of Abaqus: nodes and elements for meshio, and sets, of which meshio keeps some for the wrong cells."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import meshio
import numpy as np

from curator_core.domains.mesh.model import Indices

_MAKING: Final = frozenset(("NGEN", "NFILL", "NCOPY", "NMAP", "ELGEN", "ELCOPY", "SYSTEM"))
"""Keywords by which Abaqus makes nodes and elements that are not written out, or moves them."""


@dataclass(slots=True)
class _Block:
    """A keyword with its parameters, and the lines below."""

    keyword: str
    parameters: dict[str, str]
    lines: list[str] = field(default_factory=list)


def read_abaqus(path: Path) -> Any:  # noqa: ANN401 - meshio's mesh
    """What meshio makes of the nodes and elements of a file, in its order, with the sets of points and cells.

    Nodes may stand in several blocks, of which meshio would keep the last. Sets of one name are joined.

    Raises
    ------
    ValueError
        A node is there twice, as in files of several parts; a keyword makes or moves nodes; or a set has something
        that the file has not.
    """
    blocks = list(_blocks(path, ()))
    _require_written_out(blocks)
    nodes = [block for block in blocks if block.keyword == "NODE"]
    text = ["*NODE", *(line for block in nodes for line in block.lines)]
    elements = [block for block in blocks if block.keyword == "ELEMENT"]
    for block in elements:
        text += [f"*ELEMENT, TYPE={block.parameters.get('TYPE', '')}", *block.lines]
    node_ids = [np.array([int(line.partition(",")[0]) for line in block.lines], np.int64) for block in nodes]
    all_nodes = _all_once(node_ids, "node")
    found = meshio.read(io.StringIO("\n".join(text) + "\n"), file_format="abaqus")
    ids = [
        _numbers(block.lines)[:: cells.data.shape[1] + 1] for block, cells in zip(elements, found.cells, strict=True)
    ]
    node_sets = _sets(blocks, "NSET", dict(zip(map(id, nodes), node_ids, strict=True)), all_nodes)
    carried = dict(zip(map(id, elements), ids, strict=True))
    cell_sets = _sets(blocks, "ELSET", carried, _all_once(ids, "element"))
    found.point_sets = {name: np.flatnonzero(np.isin(all_nodes, numbers)) for name, numbers in node_sets.items()}
    found.cell_sets = {
        name: [np.flatnonzero(np.isin(own, numbers)) for own in ids] for name, numbers in cell_sets.items()
    }
    return found


def _blocks(path: Path, above: tuple[Path, ...]) -> Iterator[_Block]:
    """Blocks of a file and of those that it includes, which are looked for beside it."""
    block = None
    continues = False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.strip()
        if not text or text.startswith("**"):
            continue
        if not text.startswith("*") and not continues:
            if block is not None:
                block.lines.append(text)
            continue
        if not continues:
            if block is not None:
                yield from _included(block, path, above)
            keyword, _, text = text.lstrip("*").partition(",")
            block = _Block(" ".join(keyword.split()).upper(), {})
        continues = line.rstrip().endswith(",")
        if block is not None:
            for parameter in filter(None, map(str.strip, text.split(","))):
                name, _, value = parameter.partition("=")
                block.parameters[name.strip().upper()] = value.strip().strip('"')
    if block is not None:
        yield from _included(block, path, above)


def _included(block: _Block, path: Path, above: tuple[Path, ...]) -> Iterator[_Block]:
    if block.keyword != "INCLUDE":
        yield block
        return
    other = path.parent / block.parameters.get("INPUT", "")
    if not other.is_file():
        raise ValueError(f"{other} is missing, which {path.name} includes")
    if other in (*above, path):
        raise ValueError(f"{other} includes itself")
    yield from _blocks(other, (*above, path))


def _require_written_out(blocks: Sequence[_Block]) -> None:
    for block in blocks:
        if block.keyword in _MAKING or (block.keyword == "NODE" and "SYSTEM" in block.parameters):
            raise ValueError(f"it makes or moves nodes with *{block.keyword}, which is not read here: write them out")
        if block.keyword == "INSTANCE" and block.lines:
            raise ValueError(f"the instance {block.parameters.get('NAME')!r} is moved, which is not read here")


def _all_once(ids: Sequence[Indices], what: str) -> Indices:
    """The numbers of all blocks; `ValueError` where one is there twice."""
    found = np.concatenate([np.empty(0, np.int64), *ids])
    values, times = np.unique(found, return_counts=True)
    if (times > 1).any():
        twice = values[times > 1][0]
        raise ValueError(f"it has two {what}s {twice}, as files of several parts have: write a file for each part")
    return found


def _numbers(lines: Sequence[str]) -> Indices:
    return np.array([int(word) for word in _words(lines)], np.int64)


def _words(lines: Sequence[str]) -> list[str]:
    return [word.strip().strip('"') for line in lines for word in line.split(",") if word.strip()]


def _sets(blocks: Sequence[_Block], keyword: str, carried: Mapping[int, Indices], known: Indices) -> dict[str, Indices]:
    """Numbers in the sets by name, those of the blocks whose nodes or elements are in one, too."""
    names: dict[str, str] = {}
    found: dict[str, list[Indices]] = {}
    for block in blocks:
        if keyword not in block.parameters or (block.keyword != keyword and id(block) not in carried):
            continue
        name = names.setdefault(block.parameters[keyword].upper(), block.parameters[keyword])
        own = carried[id(block)] if id(block) in carried else _members(block, found, known)
        found.setdefault(name.upper(), []).append(own)
    return {name: np.concatenate(found[key]) for key, name in names.items()}


def _members(block: _Block, before: Mapping[str, list[Indices]], known: Indices) -> Indices:
    """Numbers that a set lists, or the sets before it that it names."""
    name = block.parameters[block.keyword]
    if "GENERATE" in block.parameters:
        ends = [[int(word) for word in _words([line])] for line in block.lines]
        return np.concatenate([np.arange(low, high + 1, *step) for low, high, *step in ends])
    parts: list[Indices] = []
    for word in _words(block.lines):
        listed = [np.array([int(word)])] if word.isdecimal() else before.get(word.rpartition(".")[2].upper())
        if listed is None:
            raise ValueError(f"its set {name!r} has the set {word!r}, which is not there, or not before it")
        parts += listed
    found = np.concatenate([np.empty(0, np.int64), *parts])
    if len(lost := np.setdiff1d(found, known)):
        raise ValueError(f"its set {name!r} has {lost[0]}, which is not there")
    return found
