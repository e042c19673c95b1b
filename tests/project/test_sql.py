"""SQL stands where the tables are declared, and nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORE = ROOT / "curator_core" / "store"
ALLOWED = {
    "curator_core/domains/atoms/ase_files/databases.py": "a file of ASE's",
    "curator_core/merge/archive.py": "has a database of its own",
    "curator_dagster/_compat/events/event_log.py": "Dagster's event log, whose tables are Dagster's",
    "curator_dagster/_compat/events/retention.py": "the same",
}
STATEMENT = re.compile(
    r"\bSELECT\s.*\bFROM\b|\bSELECT\s+(DISTINCT|EXISTS|[1-9*])|\bINSERT\s+(OR\s+\w+\s+)?INTO\b|\bUPDATE\s+\w+\s+SET\b"
    r"|\bDELETE\s+FROM\b|\b(CREATE|ALTER|DROP)\s+(TEMP\s+)?(TABLE|VIEW|INDEX)\b|\bPRAGMA\s+\w"
    r"|\bWHERE\s+\w+\s*(=|IN|NOT|>|<|!=)|\bFROM\s+\w+\s+WHERE\b|\b(GROUP|ORDER) BY\b",
    re.DOTALL,
)
WORD = re.compile("SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|PRAGMA|WHERE|FROM|BY")


def texts(tree):
    """Nodes that are texts, with what they say; values put into one are left out, and what documents code."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node, "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node, node.value


def statements(source):
    """Lines of code at which SQL begins, or a piece of it."""
    if WORD.search(source) is None:  # as in most modules
        return []
    return sorted({node.lineno for node, text in texts(ast.parse(source)) if STATEMENT.search(text)})


@pytest.mark.parametrize(
    "text",
    [
        *('"SELECT idx FROM index_results"', 'f"SELECT {x} FROM logs WHERE {y}"', "'DELETE FROM workers'"),
        *('f"SELECT max({x}) FROM t"', '"UPDATE t SET a = 1"', '"INSERT OR REPLACE INTO t VALUES (?)"'),
        *('_PART = "FROM index_results WHERE run_id = ?"', '("PRAGMA table_info(t)")', 'f"{a} ORDER BY idx"'),
    ],
)
def test_a_statement_is_recognised(text):
    """Whole statements, pieces of them and such with values put in are all found."""
    assert statements(f"sql = {text}") == [1]


@pytest.mark.parametrize(
    "text", ['"""SELECT a FROM b"""', 'x = "Select the items from the list"', 'x = "UPDATE: at 3"']
)
def test_prose_is_no_statement(text):
    """Neither what documents code nor a sentence is taken for SQL."""
    assert statements(text) == []


def test_sql_is_in_the_store_alone():
    """Every question to the metrics database is a method of `MetricsStore`, every change one of `StoreWriter`."""
    files = [path for package in ("curator_core", "curator_dagster") for path in (ROOT / package).rglob("*.py")]
    found = {
        path.relative_to(ROOT).as_posix(): lines
        for path in files
        if not path.is_relative_to(STORE) and (lines := statements(path.read_text(encoding="utf-8")))
    }
    assert {path: lines for path, lines in found.items() if path not in ALLOWED} == {}
    assert set(found) == set(ALLOWED), "what is allowed and needs it no more"
