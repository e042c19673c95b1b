"""A source that does not list the same during a run as before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator_core import RunFailed, Source, run_pipeline
from curator_core.testing import JsonSink


class Relisting(Source[str]):
    """Lists a folder anew whenever it is asked."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def _names(self):
        return sorted(path.name for path in self.folder.iterdir())

    def __len__(self):
        return len(self._names())

    def key(self, index):
        return self._names()[index]


class Growing(Relisting):
    """While the first item is read, a file appears and one goes."""

    def __init__(self, folder: str, new: str, old: str) -> None:
        super().__init__(folder)
        self.new = new
        self.old = old

    def __getitem__(self, index):
        name = self._names()[index]
        if name == "b":
            (self.folder / self.new).write_text(self.new)
            (self.folder / self.old).unlink(missing_ok=True)
        yield (self.folder / name).read_text()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    made.mkdir()
    for name in "bcde":
        (made / name).write_text(name)
    return made


@pytest.mark.parametrize("backend", ["sequential", "thread_pool", "process_pool", "loky"])
def test_items_are_found_by_key_where_indices_shift(folder, tmp_path, backend):
    """A file that comes in front shifts all others: each item still gets its own content; the next run does the new."""
    pipeline = Growing(str(folder), "a", "none").write(JsonSink(str(tmp_path / "out")))
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db", resume=True)
    run_pipeline(pipeline, backend=backend, n_jobs=2, progress=False)
    outputs = {path.read_text() for path in (tmp_path / "out").iterdir()}
    assert outputs == {f'["{name}"]' for name in "bcde"}
    plan = pipeline.plan()
    assert [item.key for item in plan.due] == ["a"]
    run_pipeline(pipeline, backend=backend, n_jobs=2, progress=False)
    assert not pipeline.plan().due


class Shifting(Relisting):
    """`change` happens between being asked for the key of "c" and its content."""

    def __init__(self, folder: str, change: str, *, times: int) -> None:
        super().__init__(folder)
        self.change = change
        self.left = times

    def __getitem__(self, index):
        if self.left and self._names()[index] == "c":
            self.left -= 1
            getattr(self, self.change)()
        yield (self.folder / self._names()[index]).read_text()

    def grow(self):
        (self.folder / f"a{self.left}").write_text("another")

    def shrink(self):
        (self.folder / "b").unlink()
        (self.folder / "d").unlink()
        (self.folder / "e").unlink()


@pytest.mark.parametrize("change", ["grow", "shrink"])
def test_a_listing_that_shifts_while_an_item_is_looked_up(folder, tmp_path, change):
    """The item gets its own content, and no error that is only the old index's."""
    pipeline = Shifting(str(folder), change, times=1).write(JsonSink(str(tmp_path / "out")))
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db")
    run_pipeline(pipeline, indices=[1], progress=False)
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ['["c"]']


def test_a_listing_that_never_rests_fails_by_name(folder, tmp_path):
    """Nothing is written in its name."""
    pipeline = Shifting(str(folder), "grow", times=100).write(JsonSink(str(tmp_path / "out")))
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db")
    with pytest.raises(RunFailed, match="another order at every look: 'c' was looked up 5 times"):
        run_pipeline(pipeline, indices=[1], progress=False)
    assert not list((tmp_path / "out").glob("*"))


def test_an_item_that_goes_fails_by_name_and_alone(folder, tmp_path):
    """A file that is deleted meanwhile is named; what is recorded of the others stays."""
    pipeline = Growing(str(folder), "x", "c").write(JsonSink(str(tmp_path / "out")))
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db", resume=True)
    with pytest.raises(RunFailed, match="no longer lists 'c': it was removed after the run was planned") as failed:
        run_pipeline(pipeline, progress=False)
    assert list(failed.value.failures) == [1]
    assert [item.key for item in pipeline.plan().due] == ["x"]
