"""Sizes and shape of the tree: a room stays small, a circle of imports is known by name, every page is reachable."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PACKAGES = ("curator_core", "curator_dagster")
CODE = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = {path: path.relative_to(ROOT).as_posix() for path in CODE}

MODULES_PER_FOLDER = 15
LINES_PER_MODULE = 400
LINES_PER_FUNCTION_P90 = 20  # with its docstring
LINES_PER_FUNCTION = 60  # without

CLOSING_A_CIRCLE = {
    ("curator_core.pipeline.components", "curator_core.pipeline.pipeline"),  # late: Source.filter and Source.write
}
"""Imports without which there is no circle: one that ends is taken out here, and none comes in."""

VAGUE = {"base_classes", "common", "helper", "helpers", "manager", "misc", "tools", "util", "utils"}

BANNED = re.compile(
    r"\b(told|tells?|telling|gone on with|at work|becomes? of|became of|goes on where|settles?|settled)\b",
    re.IGNORECASE,
)
"""Words of docstrings for which there are shorter ones: says, records, resumed, running."""

LOGGER = re.compile(r"curator(\.\w+)*")


@cache
def parsed(path):
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path):
    """Functions and methods of a module."""
    return [node for node in ast.walk(parsed(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def lines_of(node, *, docstring):
    """Number of lines of a function, of its docstring or without."""
    first = node.body[0]
    described = first.end_lineno - first.lineno + 1 if ast.get_docstring(node, clean=False) is not None else 0
    return node.end_lineno - node.lineno + 1 - (0 if docstring else described)


def docstrings(path):
    """Docstrings of a module and of everything in it, and texts that describe an attribute, with their lines."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, " ".join(re.sub(r"``.*?``", "", node.value.value).split())


def test_no_folder_is_crowded():
    """A reader sees a folder's modules at a glance."""
    sizes = Counter(path.parent for path in CODE if path.name != "__init__.py")
    assert {str(folder.relative_to(ROOT)): n for folder, n in sizes.items() if n > MODULES_PER_FOLDER} == {}


def test_no_module_is_long():
    """A module has one purpose."""
    lengths = {NAMES[path]: len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    assert {name: n for name, n in lengths.items() if n > LINES_PER_MODULE} == {}


def test_functions_are_short():
    """Nine of ten fit in a few lines with their docstring, and every one on a screen."""
    found = {f"{NAMES[path]}:{node.name}": node for path in CODE for node in functions(path)}
    lengths = sorted(lines_of(node, docstring=True) for node in found.values())
    assert lengths[len(lengths) * 9 // 10] <= LINES_PER_FUNCTION_P90
    bodies = {name: lines_of(node, docstring=False) for name, node in found.items()}
    assert {name: n for name, n in bodies.items() if n > LINES_PER_FUNCTION} == {}


def test_no_module_has_a_vague_name():
    """What has no name of its own has no purpose of its own."""
    assert [NAMES[path] for path in CODE if path.stem in VAGUE or path.parent.name in VAGUE] == []


def circles(imported):
    """Sets of modules that reach each other, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module):
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in sorted(imported[module]):
            if other not in order:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            start = stack.index(module)
            found.append(set(stack[start:]))
            del stack[start:]

    for module in sorted(imported):
        if module not in order:
            visit(module)
    return [circle for circle in found if len(circle) > 1]


def test_circles_of_imports_are_known():
    """Imports within functions count; those for annotations alone do not."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    found = circles(imported)
    closing = {(a, b) for a, b in CLOSING_A_CIRCLE if b in imported[a] and any({a, b} <= circle for circle in found)}
    assert closing == CLOSING_A_CIRCLE
    without = {a: {b for b in others if (a, b) not in CLOSING_A_CIRCLE} for a, others in imported.items()}
    assert circles(without) == []


def test_loggers_are_children_of_one():
    """Whoever sets the level of `curator`, or sends its records elsewhere, has them all."""
    called = re.compile(r"getLogger\(([^)]*)\)")
    named = {(NAMES[path], name) for path in CODE for name in called.findall(path.read_text(encoding="utf-8"))}
    literal = {(place, name) for place, name in named if name == "__name__" or name.startswith(('"', "'"))}
    assert [(place, name) for place, name in sorted(literal) if not LOGGER.fullmatch(name.strip("\"'"))] == []


def test_every_page_is_reachable():
    """From the README, by links alone."""
    seen, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        targets = re.findall(r"\]\(([^)#\s:]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        left += [(page.parent / target).resolve() for target in targets]
    pages = set((ROOT / "docs").rglob("*.md"))
    assert sorted(page.relative_to(ROOT).as_posix() for page in pages - seen) == []


def test_docstrings_are_in_plain_words():
    """A sentence says what something is, does or raises."""
    found = {f"{NAMES[path]}:{line}": text for path in CODE for line, text in docstrings(path)}
    assert {where: text for where, text in found.items() if BANNED.search(text)} == {}
