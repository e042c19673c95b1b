"""Configuration: one representation everywhere, safe files, no secrets."""

from __future__ import annotations

import functools
import json
import logging
import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curator_core import SECRET, Pipeline, Sink, Source, run_pipeline
from curator_core.errors import ConfigError
from curator_core.testing import FaultySource, JsonSink, NumbersSource, StatisticsFilter

SCRIPT = """
import multiprocessing, sys
from pathlib import Path
from curator_core import Source, Pipeline
from curator_core.testing import JsonSink

class Mine(Source[int]):
    def __init__(self, where, options): self.where = where
    def __len__(self): return 2
    def __getitem__(self, index): yield index

def pipeline():
    return Mine(Path("data"), {"b": {3, 1, 2}, "a": 1.5}).write(JsonSink("out"))

def digest():
    return pipeline().config_hash

if __name__ == "__main__":
    found = {digest()}
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            found.add(pool.apply(digest))
    print(*found)
    from curator_core import run_pipeline
    for method in ("fork", "spawn", "forkserver"):
        assert len(run_pipeline(pipeline(), n_jobs=2, mp_context=method, progress=False)) == 2
"""


def test_same_hash_everywhere(tmp_path):
    """A script's own component hashes the same as __main__, as a module, with -m, in workers of every start method."""
    (tmp_path / "my_curation.py").write_text(SCRIPT)
    commands = (["my_curation.py"], ["-m", "my_curation"], ["-c", "import my_curation; print(my_curation.digest())"])
    found = set()
    for seed, command in enumerate(commands):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(tmp_path), "CURATOR_CACHE_DIR": str(tmp_path / "c")},
        )
        assert done.returncode == 0, done.stderr
        found.update(done.stdout.split())
    assert len(found) == 1


class Anything(NumbersSource):
    """A source with an argument of any kind."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(1)
        self.value = value


def pipeline_of(value):
    return Anything(value).write(JsonSink("out"))


@pytest.mark.parametrize(
    "value",
    [
        lambda: 0,
        object(),
        functools.partial(print),
        [].append,
        {"$ref": "a"},
        "\udcff",
        [object()],
        (i for i in ()),
    ],
    ids=["lambda", "object", "partial", "bound", "dollar key", "no utf-8", "nested", "generator"],
)
def test_value_without_a_stable_representation(value):
    """Such an argument is a ConfigError naming the component and the argument, never an address in the hash."""
    with pytest.raises(ConfigError, match=r"Anything\(value=…\)"):
        _ = pipeline_of(value).config_hash


def test_equal_values_hash_alike():
    """Paths and texts, tuples and lists, sets of any order are the same configuration."""
    assert pipeline_of(Path("a/b")).config_hash == pipeline_of("a/b").config_hash
    assert pipeline_of((1, 2)).config_hash == pipeline_of([1, 2]).config_hash
    assert pipeline_of({"x", "y", "z"}).config_hash == pipeline_of({"z", "y", "x"}).config_hash


def test_different_values_hash_differently():
    """Numbers, texts and flags that look alike are different configurations."""
    values = [1, 1.0, "1", True, None, [1], math.inf, b"1", {"a": 1}]
    assert len({pipeline_of(value).config_hash for value in values}) == len(values)


def test_place_of_the_results_is_not_hashed(tmp_path):
    """The hash says what is computed, not where it is recorded."""
    first = pipeline_of(1)
    assert first.with_settings(db_dir=tmp_path, resume=True, track_gpu=True).config_hash == first.config_hash


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8")).filter(lambda k: not k.startswith("$")), inner, max_size=3
        )
        | st.sets(st.integers() | st.text(st.characters(codec="utf-8")), max_size=3)
    ),
    max_leaves=8,
)


@given(value=VALUES | st.just(float("nan")), suffix=st.sampled_from([".yaml", ".yml", ".json"]))
def test_save_and_load(tmp_path, value, suffix):
    """Whatever a pipeline is built from, a file gives the same configuration back."""
    path = tmp_path / f"pipeline{suffix}"
    pipeline_of(value).save(path)
    loaded: Any = Pipeline.load(path)
    assert loaded.config == pipeline_of(value).config
    assert repr(loaded.source.value) == repr(value) or loaded.source.value == value


def test_settings_are_saved(tmp_path):
    """Settings come back with the components, nested components too."""
    source = FaultySource(NumbersSource(2), str(tmp_path / "log"))
    saved = source.filter(StatisticsFilter("s.json")).write(JsonSink("out")).with_settings(db_dir=tmp_path, resume=True)
    saved.save(tmp_path / "p.yaml")
    loaded: Any = Pipeline.load(tmp_path / "p.yaml")
    assert loaded.config_hash == saved.config_hash
    assert (loaded.db_dir, loaded.resume) == (str(tmp_path), True)
    assert isinstance(loaded.source.source, NumbersSource)


def test_value_that_a_file_cannot_hold(tmp_path):
    """Saving says so at once, instead of writing a file that cannot be loaded."""
    with pytest.raises(ConfigError, match=r"cannot hold \$ref"):
        pipeline_of(len).save(tmp_path / "p.yaml")
    assert not (tmp_path / "p.yaml").exists()


def test_unknown_extension(tmp_path):
    """Only YAML and JSON are known."""
    with pytest.raises(ValueError, match=r"use \.yaml, \.yml or \.json"):
        pipeline_of(1).save(tmp_path / "p.toml")


ENTRY = {"component": "curator_core.testing.dummies:NumbersSource", "params": {"n": 2}}


def written(tmp_path, **changes):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"curator": 1, "source": ENTRY, **changes}))
    return path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source": {"component": "os:system", "params": {"command": "true"}}}, "'os:system' is no Source"),
        ({"source": {"component": "subprocess:Popen", "params": {"args": "true"}}}, "'subprocess:Popen' is no Source"),
        ({"source": {**ENTRY, "params": {"n": 1, "m": 2}}}, "no parameter 'm'. Known: n, repeat"),
        ({"source": {"component": ENTRY["component"]}}, "needs n"),
        ({"source": {"component": "no.such.module:X"}}, "cannot load 'no.such.module:X'"),
        ({"source": {"component": "unheard_of"}}, "Unknown component 'unheard_of'"),
        ({"source": {"component": "curator_core.testing:JsonSink", "params": {"folder": "x"}}}, "is no Source"),
        ({"source": 3}, "expected 'component'"),
        ({"source": {**ENTRY, "params": [1]}}, "'params' must be a mapping"),
        ({"source": {**ENTRY, "params": {"n": {"$ref": "os:system"}}}}, r"cannot hold \$ref"),
        ({"filters": {"a": 1}}, "'filters' must be a list"),
        ({"curator": 2}, "file version 2"),
        ({"extra": 1}, "unknown entry extra"),
        ({"settings": {"colour": 1}}, "unknown entry colour"),
    ],
)
def test_wrong_file(tmp_path, changes, says):
    """What is wrong in a file is named, and nothing in it is run."""
    with pytest.raises(ConfigError, match=says):
        Pipeline.load(written(tmp_path, **changes))


@pytest.mark.parametrize(
    "text", ["source: !!python/object/apply:os.mkdir [made]", "!!python/name:os.system", "- a list", "{", "\udcff"]
)
def test_unsafe_or_malformed_yaml(tmp_path, monkeypatch, text):
    """YAML that would run code, or is none, is refused."""
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError):
        Pipeline.load("p.yaml")
    assert not Path("made").exists()


class Secretive(Source[int]):
    """Needs a token, logs it and fails with it."""

    def __init__(self, token: Annotated[str, SECRET], n: int = 2) -> None:
        self.token = token
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        logging.getLogger("x").warning("using %s", self.token)
        if index:
            raise ValueError(f"401 for token={self.token}")
        yield index


def test_secrets_are_stored_nowhere(tmp_path):
    """A secret is in no file, hash, log line, error or traceback that curator writes."""
    pipeline = Secretive("hunter2").write(JsonSink(str(tmp_path / "out")))
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db", resume=True)
    run_pipeline(pipeline, progress=False, on_error="skip")
    pipeline.save(tmp_path / "p.yaml")
    assert pipeline.config_hash == Secretive("other").write(JsonSink(str(tmp_path / "out"))).config_hash
    assert pipeline.failed_indices == {1: "ValueError: 401 for token=***"}
    with closing(sqlite3.connect(tmp_path / "run.db")) as db, db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_missing_secret_is_told(tmp_path):
    """A file without a required secret says which parameter is missing."""
    pipeline = Secretive("hunter2").write(JsonSink("out"))
    pipeline.save(tmp_path / "p.json")
    assert "token" not in json.loads((tmp_path / "p.json").read_text())["source"]["params"]
    with pytest.raises(ConfigError, match="needs token"):
        Pipeline.load(tmp_path / "p.json")


def test_building_is_pure():
    """filter() and write() give new pipelines with every setting, the original unchanged."""
    base = Pipeline(NumbersSource(1), db_dir="d", track_memory=False, resume=True)
    step = base.filter(StatisticsFilter("s"))
    end = step.write(JsonSink("o"))
    assert (len(base.filters), len(step.filters), base.sink, step.sink) == (0, 1, None, None)
    assert (end.db_dir, end.track_memory, end.resume) == ("d", False, True)


@pytest.mark.parametrize("parts", [{"source": 3}, {"filters": [JsonSink("o")]}, {"sink": NumbersSource(1)}])
def test_parts_in_the_wrong_place(parts):
    """A part that is no source, filter or sink is told by role."""
    with pytest.raises(ConfigError, match=r"The (source|filter|sink) must be a"):
        Pipeline(**({"source": NumbersSource(1)} | parts))


def test_sink_is_abstract():
    """A sink without __call__ cannot be made."""
    with pytest.raises(TypeError, match="abstract"):
        type("Empty", (Sink,), {})()
