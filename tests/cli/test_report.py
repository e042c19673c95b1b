"""`curator report`."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")


def test_page_of_a_pipeline(curator, write_pipeline):
    """A pipeline file gives the page of its last run; its name is printed."""
    path = write_pipeline(fail=[3])
    curator("run", path)
    result = curator("report", path)
    assert (result.code, result.out, result.err) == (0, "report.html\n", "")
    page = Path("report.html").read_text(encoding="utf-8")
    assert "Numbers → Files" in page
    assert "ValueError: number 3\nis bad" in page


def test_page_of_a_database(curator, write_pipeline):
    """A database gives the page of its newest run, or of the one that is asked for."""
    curator("run", write_pipeline(n=4), "--db", "mine.db")
    curator("run", write_pipeline(n=7), "--db", "mine.db")
    assert curator("report", "mine.db", "-o", "new.html").code == 0
    assert curator("report", "mine.db", "-o", "old.html", "--run", "1").code == 0
    assert "<b>7</b><span>items" in Path("new.html").read_text(encoding="utf-8")
    assert "<b>4</b><span>items" in Path("old.html").read_text(encoding="utf-8")


def test_unknown_run(curator, write_pipeline):
    """A run that is not there is one clear line."""
    curator("run", write_pipeline(), "--db", "mine.db")
    result = curator("report", "mine.db", "--run", "9")
    assert result.code == 2
    assert "holds no run 9. It has: 1." in result.err
    assert not Path("report.html").exists()


def test_before_the_first_run(curator, write_pipeline):
    """A pipeline that has not been run has no report."""
    result = curator("report", write_pipeline())
    assert result.code == 2
    assert "has not been run yet" in result.err
