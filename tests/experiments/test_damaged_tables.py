"""Files of a table that are damaged, of another kind, or of another version are named, whatever is wrong with them."""

from __future__ import annotations

import json
import os

import pytest

from curator_core.errors import ConfigError
from curator_core.workflow import (
    Domain,
    ExperimentData,
    claim_open,
    claimed_rows,
    collect_results,
    read_results,
    write_result,
)


@pytest.fixture
def folder(tmp_path):
    domain = Domain()
    domain.add_float("x", 0.0, 1.0)
    domain.add_output("y")
    ExperimentData(domain, [{"x": 0.25}, {"x": 0.5}], [{"y": 1.0}, {}]).store(tmp_path)
    return tmp_path / "experiment_data"


def parameter(**settings):
    return json.dumps({"input_space": {"x": {"type": "float"} | settings}, "output_space": {}})


DAMAGED = [
    ("domain.json", ""),
    ("domain.json", "\0" * 10),
    ("domain.json", "[]"),
    ("domain.json", '{"input_space": ' * 100_000),
    ("domain.json", '{"input_space": [], "output_space": {}}'),
    ("domain.json", parameter(type=["float"])),
    ("domain.json", parameter(type=None)),
    ("domain.json", parameter(lower_bound="low")),
    ("domain.json", parameter(lower_bound=10**400)),
    ("domain.json", parameter(to_disk="no")),
    ("domain.json", parameter(log=1)),
    ("domain.json", parameter(type="category", categories=5)),
    ("domain.json", parameter(type="array", shape="wide")),
    ("domain.json", '{"input_space": {"x": ' + "9" * 5000 + '}, "output_space": {}}'),
    ("input.csv", ""),
    ("input.csv", "\0\0\0\0"),
    ("input.csv", '"","x"\n0,1e400\n1,0.5\n'),
    ("input.csv", '"","x"\n0,' + "9" * 400 + "\n1,0.5\n"),
    ("input.csv", '"","x"\n0,' + "9" * 5000 + "\n1,0.5\n"),
    ("input.csv", '"","x"\n' + "9" * 30 + ",0.5\n1,0.5\n"),
    ("input.csv", '"","x"\n0,"a\n'),
    ("output.csv", '"","y"\n0,1.0\n'),
    ("output.csv", "\xff"),
    ("jobs.csv", ",0\n0,DONE\n1,OPEN\n"),
    ("jobs.csv", ",0\n0,FINISHED\n1,\n"),
    ("jobs.csv", ",0,1\n0,OPEN,OPEN\n1,OPEN,OPEN\n"),
    ("failures.json", "[" * 100_000),
    ("failures.json", '{"0": 5, "x": {}}'),
    ("failures.json", '[{"error": "x"}]'),
]


@pytest.mark.parametrize(("name", "content"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_named(folder, name, content):
    """Whoever reads the table gets an error that names the file, never a raw one."""
    write_result(folder.parent, 1, {"y": 0.5})
    (folder / name).write_bytes(content.encode("latin-1"))
    for read in (ExperimentData.from_file, collect_results):
        with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
            read(folder.parent)


@pytest.mark.parametrize("name", ["domain.json", "input.csv", "jobs.csv", "failures.json"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_named(folder, name, make):
    """A folder or a pipe where a file should be is no table, and nobody waits for it."""
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    with pytest.raises(ConfigError, match="no regular file"):
        ExperimentData.from_file(folder.parent)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_result_that_is_no_file(folder, make):
    """It is a problem of its own."""
    results = folder.parent / "experiment_results"
    results.mkdir()
    make(results / "1.json")
    assert list(read_results(folder.parent).problems) == [str(results / "1.json")]


@pytest.mark.parametrize("added", [{"gpu": "0"}, {"host": None}, {"pid": "7", "job": 12}])
def test_a_claim_of_another_version(folder, added):
    """Fields that are not known say nothing about rows: what is held stays held, what is not is given away."""
    with claim_open(folder.parent, 1) as rows:
        [path] = (folder / ".curator-claims").iterdir()
        path.write_text(json.dumps(json.loads(path.read_text()) | added))
        assert set(claimed_rows(folder.parent)) == set(rows)
        dead = path.with_name("0" * 32)
        dead.write_text(path.read_text())
        with claim_open(folder.parent, 2) as more:
            assert more == ()
    with claim_open(folder.parent, 2) as rows:
        assert rows == (1,)


@pytest.mark.parametrize("content", ["5", "[]", '{"pid": 1}', '{"rows": "all"}', '{"rows": [[0, 5]]}'])
def test_what_is_no_claim_is_named(folder, content):
    """A claim whose rows cannot be told is named, since it may be of a worker that is alive."""
    claims = folder / ".curator-claims"
    claims.mkdir()
    (claims / "abc").write_text(content)
    for work in (claimed_rows, lambda where: claim_open(where).__enter__()):
        with pytest.raises(ConfigError, match=r"abc is no claim of rows.*Delete the file"):
            work(folder.parent)


def test_a_claim_that_was_never_finished(folder):
    """One that a kill cut off holds no rows, and is removed."""
    claims = folder / ".curator-claims"
    claims.mkdir()
    (claims / "cut").write_text('{"rows": [1')
    assert claimed_rows(folder.parent) == {}
    with claim_open(folder.parent) as rows:
        assert rows == (1,)
