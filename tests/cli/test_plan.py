"""`curator plan`."""

import json
from pathlib import Path


def test_first_run_is_all_new(curator, write_pipeline):
    """Before the first run every item is new."""
    result = curator("plan", write_pipeline(n=3))
    assert result.code == 0
    assert result.out.splitlines() == [
        "3 of 3 items would be processed (3 new).",
        "",
        "index  key    reason  detail",
        "0      n0000  new",
        "1      n0001  new",
        "2      n0002  new",
    ]


def test_only_what_is_due_is_listed_with_its_reason(curator, write_pipeline):
    """After a run the failed item alone is due, with the recorded error."""
    path = write_pipeline(fail=[3])
    curator("run", path, "--resume")
    lines = curator("plan", path).out.splitlines()
    assert lines[0] == "1 of 5 items would be processed (4 up to date, 1 failed)."
    assert lines[3:] == ["3      n0003  failed  ValueError: number 3 is bad"]


def test_all_lists_what_is_up_to_date(curator, write_pipeline):
    """--all lists every item."""
    path = write_pipeline(n=2)
    curator("run", path, "--resume")
    assert curator("plan", path, "--all").out.count("up to date") == 3


def test_nothing_to_do(curator, write_pipeline):
    """A complete pipeline has nothing to do."""
    path = write_pipeline()
    curator("run", path, "--resume")
    assert curator("plan", path).out == "Nothing to do: 5 items up to date.\n"


def test_limit_shortens_the_list(curator, write_pipeline):
    """Long lists are cut, and the rest is counted."""
    lines = curator("plan", write_pipeline(n=60)).out.splitlines()
    assert len(lines) == 1 + 1 + 1 + 50 + 1
    assert lines[-1] == "… and 10 more (--limit 0 lists all)"


def test_limit_0_lists_all(curator, write_pipeline):
    """--limit 0 cuts nothing."""
    assert len(curator("plan", write_pipeline(n=60), "--limit", "0").out.splitlines()) == 63


def test_vanished_items_are_mentioned(curator, write_pipeline, monkeypatch):
    """Items that are recorded but no longer listed are counted, one named."""
    from cli_parts import Numbers

    path = write_pipeline()
    curator("run", path, "--resume")
    monkeypatch.setattr(Numbers, "__len__", lambda _: 3)
    assert "2 recorded items no longer in the source, such as 'n0003'." in curator("plan", path).out


def test_earlier_run_without_resume_is_pointed_at(curator, write_pipeline):
    """A run that --resume would not find is mentioned, with the command line that goes on from it."""
    path = write_pipeline()
    curator("run", path)
    (database,) = Path("cache").glob("*.db")
    out = curator("plan", path).out
    assert f"curator run p.yaml --resume --db {database.absolute()}" in out


def test_json_has_everything(curator, write_pipeline):
    """--json gives totals, reasons and the items that are due."""
    path = write_pipeline(fail=[3])
    curator("run", path, "--resume")
    data = json.loads(curator("plan", path, "--json").out)
    assert (data["total"], data["due"], data["counts"]) == (5, 1, {"up to date": 4, "failed": 1})
    assert data["notes"] == []
    (item,) = data["items"]
    assert item == {
        "index": 3,
        "key": "n0003",
        "reason": "failed",
        "detail": "ValueError: number 3\nis bad",
        "fingerprint": None,
        "recorded_fingerprint": None,
    }


def test_untracked_pipeline_is_explained(curator, write_pipeline):
    """Without a database every run processes all, and the plan says why."""
    assert "track_metrics: false" in curator("plan", write_pipeline(settings={"track_metrics": False})).out
