"""Parameters derived from constructors."""

from __future__ import annotations

import typing
from typing import Annotated, Literal

import pytest

from curator_core import REQUIRED, SECRET, Filter, Param, Source
from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import ADDED, Unresolved, resolved_hints
from curator_core.pipeline.config import component_config
from curator_core.testing import NumbersSource


class Documented(Source[int]):
    """A source with every kind of parameter.

    Parameters
    ----------
    folder
        Where the files are,
        on two lines.
    mode : str
        How to read.
    token
        For the service.

    Notes
    -----
    Nothing of this belongs to a parameter.
    """

    def __init__(
        self,
        folder: str,
        mode: Literal["fast", "exact"] = "fast",
        *,
        limit: int | None = None,
        token: Annotated[str, SECRET] = "",
    ) -> None:
        pass

    def __len__(self):
        return 0

    def __getitem__(self, index):
        yield index


def test_derived_from_the_constructor():
    """Names, descriptions, types, defaults, choices and secrets need no boilerplate."""
    folder, mode, limit, token = Documented.params()
    assert folder == Param("folder", "Where the files are, on two lines.", str, REQUIRED)
    assert mode == Param("mode", "How to read.", Literal["fast", "exact"], "fast", ("fast", "exact"))
    assert (limit.name, limit.type, limit.default, limit.description) == ("limit", int | None, None, "")
    assert token == Param("token", "For the service.", str, "", None, True)


def test_required():
    """A parameter without a default is required."""
    assert [param.required for param in Documented.params()] == [True, False, False, False]


def test_without_a_constructor():
    """A component without arguments has no parameters."""

    class Plain(Filter[int]):
        def __call__(self, items):
            yield from items

    assert Plain.params() == []
    assert dict(Plain().arguments) == {}


def test_arguments_are_captured():
    """Arguments are known by name, positional or not, defaults included."""
    assert dict(NumbersSource(3).arguments) == {"n": 3, "repeat": 1}
    assert dict(NumbersSource(repeat=2, n=1).arguments) == {"n": 1, "repeat": 2}


class Changing(NumbersSource):
    """A constructor that changes what it is given."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(1)
        names.append("added")
        self.names = names


def test_captured_before_the_constructor_changes_them():
    """What a constructor, or its caller, does to a list later does not show."""
    given = ["a"]
    source = Changing(given)
    given.append("b")
    assert dict(source.arguments) == {"names": ["a"]}


def test_wrong_arguments_are_the_constructors_error():
    """A call that does not fit is an ordinary TypeError."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'm'"):
        NumbersSource(m=3)  # type: ignore[call-arg]


class OwnState(NumbersSource):
    """Chooses what is pickled."""

    def __init__(self, n: int, label: str) -> None:
        super().__init__(n)
        self.label = label

    def __getstate__(self):
        return {"n": self.n, "repeat": 1}


def test_captured_arguments_survive_a_chosen_state():
    """A component that chooses its pickled state keeps its arguments."""
    import pickle

    assert dict(pickle.loads(pickle.dumps(OwnState(3, "x"))).arguments) == {"n": 3, "label": "x"}


def test_unknown_arguments_are_told():
    """A component that bypasses the capture is a ConfigError, not a wrong hash."""
    source = object.__new__(NumbersSource)
    with pytest.raises(ConfigError, match="constructor arguments are not known"):
        _ = source.arguments


def test_an_argument_of_a_later_release():
    """Is part of the configuration where it is given: what was processed before it was there stays up to date."""

    class Before(Source):
        def __init__(self, folder: str):
            self.folder = folder

        def __len__(self):
            return 0

        def __getitem__(self, index):
            yield index

    class After(Before):
        def __init__(self, folder: str, depth: Annotated[int, ADDED] = 1):
            super().__init__(folder)

    (before, after, other) = (
        component_config(made)["params"] for made in (Before("a"), After("a"), After("a", depth=2))
    )
    assert before == after
    assert other == {**before, "depth": 2}
    assert component_config(After("a", depth=True))["params"] == {**before, "depth": True}


def test_annotations_are_resolved_once_they_can_be(monkeypatch):
    """Every worker makes every component; a name that is defined later is found then."""
    calls = []
    resolve = typing.get_type_hints
    monkeypatch.setattr("typing.get_type_hints", lambda *given, **how: calls.append(0) or resolve(*given, **how))

    def made(first, second):
        """Whatever it makes."""

    made.__annotations__ = {"first": "int", "second": "Later | None"}
    assert isinstance(resolved_hints(made)["second"], Unresolved)
    monkeypatch.setitem(made.__globals__, "Later", float)
    assert resolved_hints(made) == {"first": int, "second": float | None}
    n_calls = len(calls)
    assert resolved_hints(made) == resolved_hints(made, Filter) == {"first": int, "second": float | None}
    assert len(calls) == n_calls
    made.__annotations__ = {"first": "str"}
    assert resolved_hints(made) == {"first": str}


def test_a_name_that_a_notebook_gives_another_meaning():
    """A cell that is run again makes another class; functions of other cells are as they were."""
    cells = {"__name__": "__main__"}
    exec("def made(mode: 'Mode') -> None: ...\nclass Mode: ...", cells)
    first = resolved_hints(cells["made"])
    exec("class Mode: ...", cells)
    assert resolved_hints(cells["made"])["mode"] is cells["Mode"] is not first["mode"]
