"""Outputs of items whose index shifted, where the sink does not name its files by index."""

import json
from pathlib import Path

from curator_core import Pipeline, Sink, run_pipeline
from curator_core.testing.dummies import FileSource, JsonSink


class FirstNumberSink(Sink[int]):
    """Names its file by the item's first number; a log tells what it was called for."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, items, index):
        numbers = list(items)
        folder = Path(self.folder)
        folder.mkdir(exist_ok=True)
        with Path(folder / "calls.log").open("a") as log:
            log.write(f"{numbers[0]}\n")
        path = folder / f"{numbers[0]}.out"
        path.write_text(str(numbers))
        return [str(path)]


def test_an_item_that_writes_its_own_path_again_displaces_nobody(tmp_path):
    """A new file in the middle and a change behind it: these two are processed, the shifted ones are not."""
    (tmp_path / "in").mkdir()
    for number in range(1, 7):
        (tmp_path / "in" / f"{number}.txt").write_text(f"{number} 10")

    def pipeline():
        return Pipeline(
            FileSource(str(tmp_path / "in")),
            [],
            FirstNumberSink(str(tmp_path / "out")),
            db_file=tmp_path / "m.db",
            resume=True,
        )

    run_pipeline(pipeline(), progress=False)
    (tmp_path / "in" / "2b.txt").write_text("25 10")
    (tmp_path / "in" / "5.txt").write_text("5 10 11")
    (tmp_path / "out" / "calls.log").unlink()
    run_pipeline(pipeline(), progress=False)
    assert (tmp_path / "out" / "calls.log").read_text().split() == ["25", "5"]
    assert pipeline().plan().due == []


def test_an_item_that_comes_back_does_not_take_the_file_of_another_for_its_own(tmp_path):
    """A pipeline with a listing of before processes an item at the index that is another's by now, with its name."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.txt").write_text("1")

    def pipeline():
        steps = FileSource(str(tmp_path / "in")).write(JsonSink(str(tmp_path / "out")))
        return steps.with_settings(db_file=tmp_path / "m.db", resume=True)

    early = pipeline()
    assert len(early) == 1
    (tmp_path / "in" / "a.txt").write_text("7")
    late = pipeline()
    assert late[0] == early[0]
    assert late.plan().counts() == {"outputs missing": 2}
    results = run_pipeline(pipeline(), progress=False)
    assert [json.loads(Path(path).read_text()) for (path,) in results] == [[7], [1]]
    assert pipeline().plan().counts() == {"up to date": 2}
