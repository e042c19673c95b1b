"""A table that others work on, watched: what changed since the last look, before and after it is collected."""

import pytest

pytest.importorskip("pandas")

from curator_core.workflow import Domain, ExperimentData, TableWatch, collect_results, write_result


@pytest.fixture
def study(tmp_path):
    """Four experiments."""
    domain = Domain()
    domain.add_float("x", 0, 10)
    domain.add_output("y")
    ExperimentData(domain, [{"x": float(k)} for k in range(4)]).store(tmp_path)
    return tmp_path


def seen(watch):
    return {found.row: (str(found.status), dict(found.outputs)) for found in watch.changed()}


def test_a_folder_without_a_table_holds_no_experiments_yet(tmp_path):
    """The first step may not have made it."""
    watch = TableWatch(tmp_path / "nothing")
    assert watch.changed() == []
    assert watch.rows == []


def test_each_change_is_seen_once_wherever_it_is(study):
    """As a result, in the table after it was collected, as a new row, as a row that is open again."""
    watch = TableWatch(study)
    assert seen(watch) == dict.fromkeys(range(4), ("open", {}))
    write_result(study, 1, {"y": 4})
    write_result(study, 2, error=ValueError("no"))
    assert seen(watch) == {1: ("finished", {"y": 4}), 2: ("error", {})}
    assert seen(watch) == {}
    collect_results(study)
    assert seen(watch) == {}
    write_result(study, 3, {"y": 9})
    assert seen(watch) == {3: ("finished", {"y": 9})}
    collect_results(study)
    more = ExperimentData.from_file(study).mark([2], "open")
    more.add_experiments(ExperimentData(more.domain, [{"x": 5.0}]), in_place=True)
    more.store()
    assert seen(watch) == {2: ("open", {}), 4: ("open", {})}
    assert watch.rows == [0, 1, 2, 3, 4]


def test_a_version_says_what_an_experiments_values_are(study):
    """It is the same for a result and for the row that it becomes, and for a watch that begins later."""
    watch = TableWatch(study)
    before = {found.row: found.version for found in watch.changed()}
    assert len(set(before.values())) == 4
    write_result(study, 0, {"y": 2, "note": "a, b\n", "ok": True})
    (result,) = watch.changed()
    collect_results(study)
    later = {found.row: found.version for found in TableWatch(study).changed()}
    assert later == {**before, 0: result.version}
    assert result.version != before[0]


def test_a_file_that_is_no_result_is_left_to_who_collects(study):
    """The experiment stays open."""
    watch = TableWatch(study)
    watch.changed()
    (study / "experiment_results").mkdir(exist_ok=True)
    (study / "experiment_results" / "1.json").write_text("{")
    assert watch.changed() == []
    write_result(study, 1, {"y": 1})
    assert seen(watch) == {1: ("finished", {"y": 1})}
