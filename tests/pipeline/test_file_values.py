"""Arguments keep their type through a file, and values of a file are what the annotations say."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import itertools
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml

from curator_core import SECRET, Pipeline
from curator_core.errors import ConfigError
from curator_core.filters.statistics.filter import StatisticsFilter
from curator_core.pipeline.file_values import is_same
from curator_core.testing import JsonSink, NumbersSource

if TYPE_CHECKING:
    from nowhere import Frame


class Mode(enum.Enum):
    """Values that differ from their names, one that no file can say."""

    MEAN = "mean"
    PAIR = (1, 2)


@dataclasses.dataclass
class Options:
    """A dataclass of several kinds."""

    mode: Mode = Mode.MEAN
    where: Path | None = None


class Cell(NamedTuple):
    """A named tuple."""

    a: float
    b: float


class Anything(NumbersSource):
    """Takes a value of any kind, without saying which."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(1)
        self.value = value


class Typed(NumbersSource):
    """Says what it takes."""

    def __init__(  # noqa: PLR0917 - one of each
        self,
        mode: Mode | str = Mode.MEAN,
        path: Path | None = None,
        shape: tuple[int, ...] = (),
        energies: Mapping[int, float] | None = None,
        options: Options | None = None,
        cell: Cell | None = None,
        frame: Frame | None = None,
        cutoff: float = 1.0,
        n: int = 1,
        flag: bool = False,
        names: Sequence[str] = (),
        side: Literal["low", "high"] | None = None,
        when: dt.date | None = None,
        token: Annotated[str | None, SECRET] = None,
    ) -> None:
        super().__init__(1)
        self.given = dict(self.arguments)


def through_a_file(tmp_path, source, suffix=".yaml"):
    path = tmp_path / f"p{suffix}"
    first = source.write(JsonSink("out"))
    first.save(path)
    loaded = Pipeline.load(path)
    assert loaded.config_hash == first.config_hash
    return loaded.source


ANY = [
    Path("a/b"),
    (1, (2.5, "x")),
    {1: "a", 6: {(1, 2): "b"}},
    {True: 1, "1": 2, 2.5: 3},
    np.dtype("float32"),
    np.dtype([("x", "<f8"), ("y", "<i4", (2,))]),
    np.float32(0.1),
    np.int64(5),
    np.datetime64("2024-01-01T00:00", "m"),
    np.complex64(1 + 2j),
    np.float64("nan"),
    np.str_("text"),
    np.float32,
    float,
    dt.timedelta(days=1, microseconds=3),
    dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Zurich"), fold=1),
    dt.date(2024, 1, 1),
    dt.time(12, 30),
    range(1, 9, 2),
    complex("inf"),
    -0.0,
    Decimal("0.10"),
    b"\x00\xff",
    {1, 2},
    frozenset({"a"}),
    re.compile("a+", re.IGNORECASE),
    [Path("x"), None, True, 1, 1.0, "1e-3", "2024-01-01", "yes", "010"],
]


@pytest.mark.parametrize(("value", "suffix"), [*itertools.product(ANY, [".yaml", ".json"])], ids=str)
def test_a_value_keeps_its_type(tmp_path, value, suffix):
    """A file gives back the same value of the same type, where nothing says which it is, too."""
    assert is_same(through_a_file(tmp_path, Anything(value), suffix).value, value)


def test_what_differs_hashes_differently():
    """Values of different types that code treats differently are different configurations."""
    values = [
        *ANY,
        0.0,
        "mean",
        Mode.MEAN,
        Mode.PAIR,
        [1, 2],
        np.float64(0.1),
        0.1,
        "a+",
        dt.datetime.fromisoformat("2024-01-01"),
    ]
    digests = [Anything(value).write(JsonSink("o")).config_hash for value in values]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    "given",
    [
        {"mode": Mode.MEAN},
        {"mode": Mode.PAIR},
        {"mode": "mean"},
        {"path": Path("/data")},
        {"shape": (2, 3)},
        {"energies": {1: -13.6, 6: -1029.5}},
        {"options": Options(Mode.PAIR, Path("x"))},
        {"cell": Cell(1.0, 2.5)},
        {"names": ("a", "b")},
        {"names": ["a", "b"]},
        {"when": dt.date(2024, 1, 1)},
        {"cutoff": 1},
    ],
    ids=str,
)
def test_annotated_values_keep_their_type(tmp_path, given):
    """An Enum, a dataclass and a named tuple come back, as the annotation names them."""
    assert is_same(through_a_file(tmp_path, Typed(**given)).given, Typed(**given).given)


def test_people_read_what_an_annotation_explains(tmp_path):
    """No tag stands where the annotation says what a text or list is."""
    Typed(path=Path("/data"), shape=(2,), energies={1: 0.5}, options=Options()).write(JsonSink("o")).save(
        tmp_path / "p.yaml"
    )
    params = yaml.safe_load((tmp_path / "p.yaml").read_text())["source"]["params"]
    assert (params["path"], params["shape"], params["energies"]) == ("/data", [2], {"1": 0.5})
    assert params["options"] == {"mode": "mean", "where": None}


@pytest.mark.parametrize(
    "value", [Mode.MEAN, Options(), Cell(1.0, 2.0), np.arange(20_000), type("S", (str,), {})("x")], ids=str
)
def test_what_a_file_cannot_say_is_refused(tmp_path, value):
    """A file names no classes: without an annotation it cannot hold an Enum, and says so when it is saved."""
    with pytest.raises(ConfigError, match="a file cannot hold"):
        Anything(value).write(JsonSink("o")).save(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cutoff: 1e-3", 0.001),
        ("cutoff: '1e-3'", 0.001),
        ("cutoff: inf", float("inf")),
        ("n: 1e3", 1000),
        ("mode: MEAN", "MEAN"),
        ("options: {mode: PAIR}", Options(Mode.PAIR)),
        ("energies: {1: -13.6}", {1: -13.6}),
        ("cell: [1, 2]", Cell(1, 2)),
        ("cell: {a: 1, b: 2}", Cell(1, 2)),
        ("when: 2024-01-01", dt.date(2024, 1, 1)),
        ("when: '2024-01-01'", dt.date(2024, 1, 1)),
        ("frame: anything", "anything"),
    ],
)
def test_what_is_clear_is_converted(tmp_path, text, found):
    """A text that is a number is taken as one, and a list or mapping as what the annotation says."""
    assert is_same(loaded(tmp_path, text).given[text.partition(":")[0]], found)


def loaded(tmp_path, text):
    (tmp_path / "p.yaml").write_text(f"source: {{component: 'values_of_a_test:Typed', params: {{{text}}}}}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "values_of_a_test", __import__("types").SimpleNamespace(Typed=Typed))
        return Pipeline.load(tmp_path / "p.yaml").source


@pytest.mark.parametrize(
    "text",
    [
        *("cutoff: null", "cutoff: yes", "cutoff: '0,5'", "cutoff: [1]", "n: true", "n: 1.5", "n: many", "n: 1:30"),
        *("flag: 1", "flag: 'false'", "names: energy", "names: [1]", "names: {a: 1}", "shape: [a]", "side: middle"),
        *("energies: {a: 1}", "energies: {1: a}", "energies: {'1': 1, 1: 2}", "energies: [1]", "path: 3", "mode: 3"),
        *("options: {colour: 1}", "options: {mode: MAX}", "cell: [1]", "when: 2024-01-01 12:00:00", "when: soon"),
        *("token: 3", "path: {$path: 3}", "path: {$colour: 3}", "mode: {$enum: Other.MEAN}", "n: {$env: HOME}"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, text):
    """The file and the parameter are named before anything runs."""
    with pytest.raises(ConfigError, match=rf"p\.yaml: source\.{text.partition(':')[0]}"):
        loaded(tmp_path, text)


def test_a_secret_comes_from_the_environment(tmp_path, monkeypatch, caplog):
    """A file names the variable; saving says that the value was left out, and no message shows it."""
    monkeypatch.setenv("A_TOKEN", "hunter2")
    source = loaded(tmp_path, "token: {$env: A_TOKEN}")
    assert source.given["token"] == "hunter2"
    source.write(JsonSink("o")).save(tmp_path / "saved.yaml")
    assert "token is secret and was not written" in caplog.text
    assert "hunter2" not in (tmp_path / "saved.yaml").read_text() + caplog.text
    with pytest.raises(ConfigError, match="no environment variable 'NOT_SET_HERE'"):
        loaded(tmp_path, "token: {$env: NOT_SET_HERE}")
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "token: [hunter2]")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("setting", ["track_metrics: 'false'", "resume: 1", "track_memory: all", "db_file: 3"])
def test_settings_are_checked(tmp_path, setting):
    """A setting of another kind is refused by name."""
    (tmp_path / "p.yaml").write_text(
        f"source: {{component: 'curator_core.testing:NumbersSource', params: {{n: 1}}}}\nsettings: {{{setting}}}"
    )
    with pytest.raises(ConfigError, match=rf"p\.yaml: settings\.{setting.partition(':')[0]}"):
        Pipeline.load(tmp_path / "p.yaml")


def test_built_in_components_check_what_python_gives_them():
    """The parameter is named; what can stand for what is asked for is taken."""
    assert StatisticsFilter(Path("s.parquet"), ("a",), bins=np.int64(3), quantiles=np.array([0.5])) is not None
    wrong = {
        "fields": "energy",
        "bins": "few",
        "quantiles": None,
        "range": "all",
        "fractions": {"a": "b"},
        "seed": True,
    }
    for name, value in wrong.items():
        with pytest.raises(ConfigError, match=f"statistics: {name} must be"):
            StatisticsFilter("s.parquet", **{name: value})


def test_a_value_that_contains_itself():
    """It is refused where it is given."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match="contains itself"):
        Anything(endless)
