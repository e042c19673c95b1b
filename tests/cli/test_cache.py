"""`curator cache`."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from curator_core import IndexResult
from curator_core.cli.commands import cache as cache_command
from curator_core.storage.locks import exclusive_lock
from curator_core.store import JournalWriter, StoreWriter, journal_directory
from curator_core.store.inventory import find_databases


@pytest.fixture
def make_database(folder):
    """Write a database with one result, some days old; returns its path."""

    def make(name, *, days=0, digest="a" * 64, **more):
        path = folder / "cache" / name
        config = {"source": {"component": "lab:Files"}, "filters": [], "sink": {"component": "zarr_sink"}}
        with StoreWriter(path, config_hash=digest, config_json=json.dumps(config), resume=True, **more) as writer:
            writer.write(IndexResult(0, "k", "completed"))
        at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE pipeline_runs SET started_at = ?", (at,))
            db.execute("UPDATE index_results SET completed_at = ?", (at,))
        return path

    return make


def databases(folder):
    return sorted(path.name for path in (folder / "cache").glob("*.db"))


def test_list_says_what_is_there(curator, write_pipeline):
    """Every database with its pipeline, runs and counts, the most recently active first."""
    path = write_pipeline(fail=[3])
    curator("run", path, "--resume")
    curator("run", path, "--db", "cache/mine.db", "--indices", "0-1")
    curator("run", path, "--db", "cache/mine.db", "--indices", "0-2")
    result = curator("cache", "list")
    assert result.code == 0
    header, first, second, _, total = result.out.splitlines()
    assert header.split() == [
        *["file", "pipeline", "runs", "completed", "failed", "total", "size", "last"],
        "activity",
        "note",
    ]
    assert first.split()[:8] == ["mine.db", "Numbers", "→", "Files", "2", "3", "0", "5"]
    assert second.split()[1:8] == ["Numbers", "→", "Files", "1", "4", "1", "5"]
    assert total.startswith("2 databases (")


def test_list_json(curator, make_database):
    """--json has stable names."""
    path = make_database("old.db", days=3, total_indices=7)
    (entry,) = json.loads(curator("cache", "list", "--json").out)
    last = datetime.fromisoformat(entry.pop("last_activity"))
    assert timedelta(days=3) <= datetime.now(UTC) - last < timedelta(days=3, minutes=5)
    assert entry.pop("size_bytes") >= path.stat().st_size
    assert entry == {
        "file": str(path),
        "pipeline": ["Files", "zarr_sink"],
        "config_hashes": ["a" * 64],
        "runs": 1,
        "total": 7,
        "completed": 1,
        "failed": 0,
        "running": False,
        "journals": 0,
        "problem": None,
    }


def test_an_empty_or_missing_folder(curator, folder):
    """No databases is no error; a folder that was named and is not there is."""
    assert curator("cache", "list").out == f"No metrics databases in {folder}/cache.\n"
    assert json.loads(curator("cache", "list", "--json").out) == []
    result = curator("cache", "list", "--db-dir", "nowhere")
    assert (result.code, result.err) == (2, "error: --db-dir: there is no folder nowhere.\n")


def test_prune_removes_the_old_with_all_that_belongs_to_them(curator, make_database, folder):
    """Only what is older goes, with the files beside it; nothing else in the folder changes."""
    old = make_database("old.db", days=31)
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{old}{suffix}").touch()
    journal_directory(old).mkdir()
    make_database("new.db", days=29)
    result = curator("cache", "prune", "--older-than", "30d", "--yes")
    assert result.code == 0
    assert "Removed 1 database (" in result.out
    left = {path.name for path in (folder / "cache").iterdir()}
    assert {"new.db", "new.db.lock"} <= left
    assert not any(name.startswith("old.db") for name in left)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--keep", "1"], ["a1.db", "b5.db"]),
        (["--keep", "2"], ["a1.db", "a20.db", "b5.db"]),
        (["--keep", "0"], []),
        (["--older-than", "10d"], ["a1.db", "b5.db"]),
        (["--older-than", "1w", "--keep", "2"], ["a1.db", "a20.db", "b5.db"]),
        (["--older-than", "30d", "--keep", "1"], ["a1.db", "a20.db", "b5.db"]),
        (["--older-than", "24h", "--keep", "0"], []),
    ],
)
def test_conditions(curator, make_database, folder, words, left):
    """--keep counts per configuration; with both conditions, both must hold."""
    for days in (1, 20, 40):
        make_database(f"a{days}.db", days=days)
    make_database("b5.db", days=5, digest="b" * 64)
    assert curator("cache", "prune", *words, "--yes").code == 0
    assert databases(folder) == left


def test_a_database_of_several_configurations(curator, make_database, folder):
    """One that is among the newest of any of its configurations is kept."""
    make_database("both.db", digest="b" * 64)
    make_database("both.db", days=20)
    make_database("a.db", days=1)
    curator("cache", "prune", "--keep", "1", "--yes")
    assert databases(folder) == ["a.db", "both.db"]


def test_without_yes_nothing_is_removed(curator, make_database, folder):
    """A script that does not say --yes is shown what would go."""
    make_database("old.db", days=31)
    result = curator("cache", "prune", "--older-than", "30d")
    assert result.code == 0
    assert "old.db" in result.out
    assert result.out.splitlines()[-1].startswith("Nothing was removed: 1 database (")
    assert databases(folder) == ["old.db"]


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_somebody_at_a_terminal_is_asked(curator, make_database, folder, monkeypatch, answer):
    """On a terminal it goes only after a yes."""
    make_database("old.db", days=31)
    monkeypatch.setattr(cache_command, "is_attended", lambda: True)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer)
    result = curator("cache", "prune", "--older-than", "30d")
    assert result.code == 0
    assert databases(folder) == ([] if answer == "y" else ["old.db"])


def test_one_that_a_run_is_writing_is_kept(curator, make_database, folder):
    """A database under a run's lock stays, and the reason is told."""
    old = make_database("old.db", days=31)
    with exclusive_lock(f"{old}.lock", timeout_s=0, holder="curator"):
        assert json.loads(curator("cache", "list", "--json").out)[0]["running"]
        result = curator("cache", "prune", "--older-than", "30d", "--yes")
        assert "kept: old.db: a run is writing it\n" in result.out
    assert databases(folder) == ["old.db"]
    curator("cache", "prune", "--older-than", "30d", "--yes")
    assert databases(folder) == []


def test_a_run_that_begins_meanwhile_is_noticed(curator, make_database, folder, monkeypatch):
    """A run that took the lock after the listing keeps its database."""
    old = make_database("old.db", days=31)
    found = find_databases(folder / "cache")
    monkeypatch.setattr(cache_command, "find_databases", lambda _: found)
    with exclusive_lock(f"{old}.lock", timeout_s=0, holder="curator"):
        result = curator("cache", "prune", "--older-than", "30d", "--yes")
    assert "kept: " in result.out
    assert "Removed 0 databases" in result.out
    assert databases(folder) == ["old.db"]


def test_one_with_waiting_results_is_kept(curator, make_database, folder):
    """Results that no run has taken over are never lost: the database and its journals stay, with a note."""
    old = make_database("old.db", days=31)
    with JournalWriter(journal_directory(old), "a" * 64) as journal:
        journal.append(IndexResult(1, "j", "completed"))
    assert "old.db.journals holds results that no run has taken over" in curator("cache", "list").out
    result = curator("cache", "prune", "--keep", "0", "--yes")
    assert "kept: old.db: old.db.journals holds results that no run has taken over" in result.out
    assert databases(folder) == ["old.db"]
    assert journal.path.exists()


def test_other_files_are_never_touched(curator, make_database, folder):
    """Foreign databases, text, folders and links to nowhere are neither listed nor removed."""
    make_database("mine.db", days=90)
    cache = folder / "cache"
    with closing(sqlite3.connect(cache / "foreign.db")) as db, db:
        db.execute("CREATE TABLE users (name TEXT)")
    (cache / "notes.db").write_text("# my notes\n" * 500)
    (cache / "empty.db").touch()
    (cache / "folder.db").mkdir()
    (cache / "gone.db").symlink_to(cache / "nowhere")
    shutil.copy(cache / "mine.db", cache / "mine.sqlite")
    assert len(json.loads(curator("cache", "list", "--json").out)) == 1
    curator("cache", "prune", "--keep", "0", "--yes")
    assert sorted(path.name for path in cache.iterdir()) == [
        *("empty.db", "folder.db", "foreign.db", "gone.db", "mine.sqlite", "notes.db"),
    ]


def newer(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version=99")


def damaged(path):
    content = bytearray(path.read_bytes())
    content[100:] = b"\x5a" * (len(content) - 100)
    path.write_bytes(content)


@pytest.mark.parametrize(("spoil", "says"), [(newer, "upgrade curator"), (damaged, "damaged")])
def test_one_that_cannot_be_read_is_listed_and_kept(curator, make_database, folder, spoil, says):
    """A newer or damaged database does not stop the listing, and is never removed."""
    path = make_database("odd.db", days=90)
    make_database("good.db", days=90)
    spoil(path)
    result = curator("cache", "list")
    assert result.code == 0
    assert says in result.out
    assert "good.db" in result.out
    curator("cache", "prune", "--keep", "0", "--yes")
    assert databases(folder) == ["odd.db"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "error: Say what to remove: --older-than 30d, --keep 1, or both."),
        (["--older-than", "30"], "error: Invalid value for '--older-than': '30' is no span of time. Write 12h, 30d"),
        (["--keep", "-1"], "error: Invalid value for '--keep'"),
    ],
)
def test_what_to_remove_must_be_said(curator, make_database, folder, words, says):
    """Without a condition, or with a wrong one, nothing goes and the error is one line."""
    make_database("old.db", days=31)
    result = curator("cache", "prune", "--yes", *words)
    assert result.code == 2
    assert result.err.startswith(says)
    assert databases(folder) == ["old.db"]
