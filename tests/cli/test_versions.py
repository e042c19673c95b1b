"""`curator versions`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

DATA = "out/data.json"


@pytest.fixture
def publish(curator):
    """Writes an input and publishes what there is; the data version."""
    Path("in").mkdir()
    parts = {
        "source": {"component": "curator_core.testing:FileSource", "params": {"folder": "in"}},
        "sink": {"component": "curator_core.testing:DatasetSink", "params": {"output": DATA}},
        "settings": {"db_file": "run.db", "resume": True, "keep_versions": 3},
    }
    Path("d.yaml").write_text(yaml.safe_dump(parts))

    def published(name, text, *options):
        Path(f"in/{name}.txt").write_text(text)
        assert curator("run", "d.yaml", "-q").code == 0
        assert curator("gather", "d.yaml", *options).code == 0
        return json.loads(Path(f"{DATA}.manifest.json").read_text())["data_version"]

    return published


def test_versions_are_listed_and_compared(curator, publish):
    """On a line each, newest first; with the dataset before the sub-command as well; as JSON for scripts."""
    first, second, third = publish("a", "1"), publish("b", "2"), publish("a", "10")
    lines = curator("versions", DATA).out.splitlines()
    assert [line.split()[0] for line in lines] == ["version", third[:16], second[:16], first[:16]]
    assert [line.split()[3] for line in lines[1:]] == ["newest", "kept", "kept"]
    found = json.loads(curator("versions", "list", DATA, "--json").out)
    assert [(row["id"], row["state"], row["n_added"], row["n_changed"]) for row in found] == [
        (third, "newest", 0, 1),
        (second, "kept", 1, 0),
        (first, "kept", 1, 0),
    ]
    for words in (("diff", DATA, first), (DATA, "diff", first[:8], third)):
        result = curator("versions", *words)
        assert (result.code, result.out) == (0, "+ b.txt\n~ a.txt\n")
        assert result.err == "1 added, 1 changed, 0 removed\n"
    changes = json.loads(curator("versions", "diff", DATA, third, first, "--json").out)
    assert changes == {"added": [], "changed": ["a.txt"], "removed": ["b.txt"], "reassigned": []}


def test_a_version_is_tagged_restored_and_expires(curator, publish):
    """Each says what it did; what cannot be done ends with status 2 and the reason."""
    first, second = publish("a", "1"), publish("a", "20")
    assert curator("versions", "tag", DATA, first, "good").out == f"{first} has the tag good.\n"
    refused = curator("versions", "expire", DATA, "good")
    assert (refused.code, "has the tag 'good'" in refused.err) == (2, True)
    assert curator("versions", "restore", DATA, "good").out == f"{first}, 1 item, is the newest version of {DATA}.\n"
    assert [entry["values"] for entry in json.loads(Path(DATA).read_text())] == [[1]]
    assert curator("versions", "untag", DATA, "good").out == f"{first} has the tag good no more.\n"
    assert curator("versions", "expire", DATA, "--keep", "1").out == f"{second}\n"
    expired = curator("versions", "diff", DATA, second)
    assert (expired.code, "is not kept: it expired" in expired.err) == (2, True)
    for words in (("none.json",), ("diff", DATA, "abc"), ("expire", DATA)):
        assert curator("versions", *words).code == 2


def test_gather_has_its_own_number_of_versions(curator, publish):
    """In place of the pipeline's."""
    publish("a", "1")
    publish("a", "20", "--keep-versions", "1")
    assert [row["state"] for row in json.loads(curator("versions", DATA, "--json").out)] == ["newest"]
