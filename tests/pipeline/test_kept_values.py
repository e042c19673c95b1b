"""Arguments that are easily changed on their way: through a file, or by whoever holds them later."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, LiteralString, NamedTuple, NotRequired, Required, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from curator_core import SECRET, Pipeline, Source
from curator_core.errors import ConfigError
from curator_core.pipeline.config import build_component, component_config
from curator_core.pipeline.file_values import is_same
from curator_core.testing import NumbersSource


class Access(enum.Flag):
    """Flags, which are combined."""

    READ = 1
    WRITE = 2
    RUN = 4


class Row(TypedDict, total=False):
    """Annotations that are texts, of which Python does not tell what is required."""

    name: Required[str]
    folder: Path


class Whole(TypedDict):
    """The other way round."""

    name: str
    folder: NotRequired[Path]


@dataclasses.dataclass
class Settings:
    """A dataclass that can be changed."""

    names: list[str]


class Pair(NamedTuple):
    """A named tuple that holds what can be changed."""

    left: list[int]


class Kept(NumbersSource):
    """Takes one value of each kind."""

    def __init__(  # noqa: PLR0917 - one of each
        self,
        value: Any = None,
        text: str = "",
        access: Access = Access.READ,
        weights: npt.NDArray[Any] | None = None,
        row: Row | None = None,
        whole: Whole | None = None,
        sources: list[Source[Any]] | None = None,
        price: Decimal = Decimal(0),
        ident: UUID | None = None,
        scale: np.float32 | None = None,
        count: np.int8 | None = None,
        label: LiteralString = "",
        whole_number: int = 0,
    ) -> None:
        super().__init__(1)
        self.value = value


def _again(source: Kept, folder: Path) -> Kept:
    path = folder / "pipeline.yaml"
    Pipeline(source).save(path)
    found = Pipeline.load(path)
    assert found.config_hash == Pipeline(source).config_hash
    assert isinstance(found.source, Kept)
    return found.source


def _loaded(folder: Path, **params: object) -> Kept:
    path = folder / "given.yaml"
    entry = {"component": f"{Kept.__module__}:Kept", "params": params}
    path.write_text(yaml.safe_dump({"curator": 1, "source": entry}, sort_keys=False), encoding="utf-8")
    found = Pipeline.load(path).source
    assert isinstance(found, Kept)
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", Path("a/b")),
        ("access", Access.READ | Access.RUN),
        ("access", Access(0)),
        ("weights", np.array([0.5, -0.0])),
        ("weights", np.array([[1, 2]], dtype=np.int16)),
        ("value", np.array(["a", "bc"])),
        ("value", np.zeros((2, 0), dtype=bool)),
        ("value", [np.array(1.5)]),
        ("value", dt.datetime(2025, 10, 26, 2, 30, fold=1)),  # noqa: DTZ001 - a local time that is there twice
        ("value", dt.time(2, 30, fold=1)),
        ("value", ZoneInfo("Europe/Berlin")),
        ("value", slice(None, 3)),
        ("value", Fraction(-1, 3)),
        ("value", -0.0),
        ("value", complex(0.0, -0.0)),
        ("sources", [NumbersSource(2), Kept()]),
    ],
)
def test_a_value_and_its_type_survive_a_file(tmp_path, name, value):
    """What is saved is loaded as the same, and hashes alike."""
    found = _again(Kept(**{name: value}), tmp_path).arguments[name]
    if name == "sources":
        assert isinstance(found, list)
        assert [type(source) for source in found] == [NumbersSource, Kept]
    else:
        assert is_same(found, value)


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("access", "READ | RUN", Access.READ | Access.RUN),
        ("access", 3, Access.READ | Access.WRITE),
        ("row", {"name": "x", "folder": "y"}, {"name": "x", "folder": Path("y")}),
        ("whole", {"name": "x"}, {"name": "x"}),
        ("price", "1.10", Decimal("1.10")),
        ("ident", "12345678123456781234567812345678", UUID(int=0x12345678123456781234567812345678)),
        ("scale", 1.5, np.float32(1.5)),
        ("count", 3, np.int8(3)),
        ("whole_number", 1e23, 10**23),
        ("whole_number", "9007199254740993.0", 9007199254740993),
    ],
)
def test_a_file_gives_it_as_people_write_it(tmp_path, name, given, meant):
    """Values that no file has a kind for are taken from what people write for them, where that is clear."""
    assert is_same(_loaded(tmp_path, **{name: given}).arguments[name], meant)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("access", "READ | NONE"),
        ("access", 9),
        ("access", True),
        ("row", {"folder": "y"}),
        ("whole", {"folder": "y"}),
        ("price", "cheap"),
        ("price", 1.1),
        ("ident", "x"),
        ("scale", "x"),
        ("count", 300),
        ("count", 1.5),
        ("whole_number", "1e400000000"),
        pytest.param("whole_number", "9" * 100_000, id="many digits"),
        ("whole_number", "1.5e0"),
        ("label", 5),
        ("value", {"$pattern": {"pattern": "(", "flags": 0}}),
        ("value", {"$scalar": {"dtype": "O", "value": 1}}),
        ("value", {"$array": {"dtype": "O", "shape": [1], "values": [1]}}),
        ("value", {"$array": {"dtype": "<U900000000", "shape": [1], "values": ["a"]}}),
        ("value", {"$array": {"dtype": "<f8", "shape": [7], "values": [1]}}),
        ("value", {"$array": 5}),
        ("value", {"$tuple": [1], "more": 2}),
        ("value", {"$zone": "../../etc/passwd"}),
        ("sources", [{"component": "builtins:print"}]),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(tmp_path, name, given):
    """Nothing is taken for what it is not, and the message names the parameter."""
    with pytest.raises(ConfigError, match=name):
        _loaded(tmp_path, **{name: given})


@pytest.mark.timeout(60)
def test_a_fraction_of_a_billion_digits_is_not_written_out(tmp_path):
    """A short text that stands for a huge number is refused, instead of worked on for minutes."""
    with pytest.raises(ConfigError, match="fraction"):
        _loaded(tmp_path, value={"$fraction": "1e999999999"})


def test_entries_within_a_list_need_no_tag(tmp_path):
    """Where components are wanted, a mapping that names one is built, wherever in the value it stands."""
    given = [{"component": f"{Kept.__module__}:Kept", "params": {"value": 3}}]
    found = _loaded(tmp_path, sources=given).arguments["sources"]
    assert isinstance(found, list)
    assert isinstance(found[0], Kept)
    assert found[0].value == 3


def test_arguments_are_those_of_the_moment_of_construction():
    """Whoever changes an array, a dataclass or what a named tuple holds later does not change the configuration."""
    array, settings, pair, data = np.zeros(2), Settings(["a"]), Pair([1]), bytearray(b"a")
    pipeline = Pipeline(Kept([array, settings, pair, data]))
    before = pipeline.source.arguments
    digest = Pipeline(Kept([np.zeros(2), Settings(["a"]), Pair([1]), bytearray(b"a")])).config_hash
    array[0], settings.names[0], pair.left[0], data[0] = 1, "b", 2, 66
    assert is_same(before["value"], [np.zeros(2), Settings(["a"]), Pair([1]), bytearray(b"a")])
    assert pipeline.config_hash == digest


def test_an_array_with_a_mask_has_no_stable_representation():
    """Two masks over one array are two configurations; what does not tell them apart is refused."""
    with pytest.raises(ConfigError, match="MaskedArray"):
        _ = Pipeline(Kept(np.ma.array([1.0], mask=[True]))).config_hash


def test_arrays_of_complex_numbers_times_and_texts_have_hashes():
    """They are told apart by their values and types."""
    values = [np.array([1j]), np.array([2j]), np.array(["a"]), np.array(["2020"], dtype="M8[Y]"), np.array([b"a"])]
    assert len({Pipeline(Kept(value)).config_hash for value in values}) == len(values)


class One(Source[int]):
    """A source without a constructor."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        yield index


class Many(One):
    """Collects values of one kind, by position and by name."""

    def __init__(self, *paths: Path, cls: int = 0, **limits: int) -> None:
        self.given = (paths, cls, limits)


class Headers(NumbersSource):
    """Collects secrets."""

    def __init__(self, **headers: Annotated[str, SECRET]) -> None:
        super().__init__(1)


@dataclasses.dataclass(frozen=True)
class Frozen(One):
    """A component that cannot be changed."""

    size: int = 1


def _built(kind: type[Source[Any]], /, **params: object) -> Source[Any]:
    entry = {"component": f"{kind.__module__}:{kind.__name__}", "params": params}
    return build_component(entry, One, where="x")


@pytest.mark.parametrize("source", [Many(Path("a"), Path("b"), cls=2, high=3), Many(), Frozen(3)])
def test_collected_arguments_and_frozen_components_survive_a_file(tmp_path, source):
    """What ``*`` and ``**`` collect has the annotation's kind, and any name may be an argument's."""
    path = tmp_path / "pipeline.yaml"
    Pipeline(source).save(path)
    again = Pipeline.load(path)
    assert is_same(dict(again.source.arguments), dict(source.arguments))
    assert again.config_hash == Pipeline(source).config_hash


@pytest.mark.parametrize("params", [{"paths": "a"}, {"paths": [5]}, {"high": "x"}, {"cls": "x"}])
def test_collected_values_of_a_file_are_compared_with_their_annotation(params):
    """A text is no list of paths, and a limit is a number whatever its name."""
    with pytest.raises(ConfigError, match="must be"):
        _built(Many, **params)


def test_secrets_that_are_collected_are_left_out():
    """The marker of ``**headers`` holds for each of them."""
    source = Headers(key="hunter2-hunter3")
    assert component_config(source)["params"] == {}
    assert source.secret_values() == ["hunter2-hunter3"]
