"""Two live writers of plain outputs: the second is refused by name of the first, and who never collides is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curator_core import Pipeline, Sink, run_pipeline
from curator_core.errors import StoreBusyError
from curator_core.session.live import live_outputs
from curator_core.testing import FileSource, JsonSink, NumbersSource
from curator_core.testing.dummies import AddFilter


class ByKey(Sink[object]):
    """Names files after keys, as a sink does that asks for its source."""

    def __init__(self, folder: str, prefix: str = "") -> None:
        self.folder, self.prefix = Path(folder), prefix
        self.source: Any = None

    def set_source(self, source) -> None:
        self.source = source

    def __call__(self, items, index):
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.prefix}{self.source.key(index).replace('/', '_')}"
        path.write_text(str(list(items)))
        return [str(path)]


class OneFile(Sink[int]):
    """Adds every item to one file."""

    appends = True

    def __init__(self, file: str, mark: str = ";") -> None:
        self.file, self.mark = file, mark

    def __call__(self, items, index):
        with Path(self.file).open("a") as file:
            file.write(f"{list(items)}{self.mark}")
        return [self.file]


class Everywhere(JsonSink):
    """Whose runs share their folder on purpose."""

    def output_places(self):
        return []


def held(pipeline, indices=range(3), database="live.db"):
    """As a run of the pipeline has its outputs while it goes on."""
    path = None if database is None else Path(database)
    return live_outputs(pipeline, path, indices, pipeline.source.key)


def numbers(sink, amount=0, database=None, count=3):
    """A pipeline of numbers; tracked where it has a database."""
    settings = {"track_metrics": False} if database is None else {"db_file": database, "resume": True}
    return Pipeline(NumbersSource(count), [AddFilter(amount)], sink, **settings)


@pytest.mark.parametrize("amount", [0, 1])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_second_run(tmp_path, amount, is_there):
    """With another database, of this configuration or another one: refused before an item, as one index is."""
    out = tmp_path / "new" / "out"
    if is_there:
        out.mkdir(parents=True)
    with held(numbers(JsonSink(str(out)))):
        for second in (numbers(JsonSink(f"{out}/"), amount, tmp_path / "b.db"), numbers(JsonSink(str(out)), amount)):
            for refused in (lambda p=second: run_pipeline(p, progress=False), lambda p=second: p[1]):
                with pytest.raises(StoreBusyError, match=rf"written by curator \(process {os.getpid()}\).*live\.db"):
                    refused()
        assert not (tmp_path / "b.db").exists()
    run_pipeline(numbers(JsonSink(str(out)), amount, tmp_path / "b.db"), progress=False)
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"]


def test_a_run_that_was_refused_leaves_nothing(tmp_path):
    """Nor does one whose outputs go elsewhere in the end."""
    with held(numbers(JsonSink(str(tmp_path / "a" / "b" / "out")))):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_path_by_another_name(tmp_path, monkeypatch):
    """Relative, absolute and through a link it is the same place."""
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    with held(numbers(JsonSink(str(tmp_path / "out")))):
        for folder in ("out", "./out", "link/out"):
            with pytest.raises(StoreBusyError, match="out' is being written"):
                run_pipeline(numbers(JsonSink(folder)), progress=False)


def test_who_shares_a_folder(tmp_path):
    """One database, other indices of one source, other names, other keys, and sinks that say so."""
    out = str(tmp_path / "out")
    first = numbers(JsonSink(out))
    with held(first, [0, 2], tmp_path / "a.db"):
        run_pipeline(numbers(JsonSink(out), 0, tmp_path / "a.db"), progress=False)
        run_pipeline(first, indices=[1], progress=False)
        assert first[1]
        with pytest.raises(StoreBusyError):
            run_pipeline(first, indices=[1, 2], progress=False)
        run_pipeline(numbers(ByKey(out)), progress=False)
        run_pipeline(numbers(Everywhere(out)), progress=False)
    with held(numbers(ByKey(out, "a"))):
        run_pipeline(numbers(ByKey(out, "b")), progress=False)
        with pytest.raises(StoreBusyError):
            run_pipeline(numbers(ByKey(out, "a"), 5), progress=False)


def test_keys_of_two_folders(tmp_path):
    """Files named after keys are the same only where the keys are."""

    def of(folder):
        return Pipeline(FileSource(tmp_path / folder), [], ByKey(str(tmp_path / "out")), track_metrics=False)

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text("1")
    with held(of("a"), [0]):
        run_pipeline(of("b"), progress=False)
        (tmp_path / "b" / "a.txt").write_text("1")
        with pytest.raises(StoreBusyError):
            run_pipeline(of("b"), progress=False)


def test_one_file_of_two_sinks(tmp_path):
    """Whatever else is in their arguments."""
    with held(numbers(OneFile(str(tmp_path / "rows.txt")))), pytest.raises(StoreBusyError, match=r"rows\.txt"):
        run_pipeline(numbers(OneFile(str(tmp_path / "rows.txt"), ","), count=4), progress=False)


def test_a_killed_run(tmp_path):
    """What it left is taken away by the next."""
    code = (
        "import os, signal, sys; from curator_core.testing import JsonSink, NumbersSource\n"
        "from curator_core.session.live import live_outputs; p = NumbersSource(3).write(JsonSink(sys.argv[1]))\n"
        "with live_outputs(p, None, [0, 1], p.source.key): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], check=False)
    assert list(tmp_path.glob(".out.curator-runs/*"))
    run_pipeline(numbers(JsonSink(str(tmp_path / "out"))), progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_beside(tmp_path, monkeypatch):
    """Runs are told apart within."""
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with held(numbers(JsonSink(str(out)))), pytest.raises(StoreBusyError):
        run_pipeline(numbers(JsonSink(str(out))), progress=False)
    assert list(out.iterdir()) == []


def test_a_place_without_locks(tmp_path, monkeypatch):
    """Items are processed all the same."""
    monkeypatch.setattr("curator_core.session.live._registries", lambda _: iter([Path("/proc/nowhere")]))
    assert run_pipeline(numbers(JsonSink(str(tmp_path / "out"))), progress=False)
