"""Every error survives pickling and is also the builtin that its contract names."""

from __future__ import annotations

import pickle

import pytest

from curator_core import errors
from curator_core.errors import ComponentError, CuratorError, MissingDependencyError, RunFailed, UnknownNameError


def all_errors(cls=CuratorError):
    return [cls, *(found for sub in cls.__subclasses__() for found in all_errors(sub))]


SHIPPED = [cls for cls in all_errors() if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", SHIPPED, ids=lambda cls: cls.__name__)
def test_pickles(cls):
    """Type, text and notes are the same in another process."""
    error = cls("what, where and what to do")
    error.add_note("a note")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == "what, where and what to do"
    assert copy.__notes__ == ["a note"]


def test_run_failed_keeps_its_fields():
    """Failures and results survive pickling."""
    copy = pickle.loads(pickle.dumps(RunFailed("text", failures={3: "ValueError: x"}, results=[["a"], []])))
    assert copy.failures == {3: "ValueError: x"}
    assert copy.results == [["a"], []]


def test_component_error_keeps_its_fields():
    """Component, key and file survive pickling."""
    copy = pickle.loads(pickle.dumps(ComponentError("text", component="Sink", key="k", file="f")))
    assert (copy.component, copy.key, copy.file) == ("Sink", "k", "f")


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ConfigError", ValueError),
        ("UnknownNameError", ValueError),
        ("IndexRangeError", IndexError),
        ("PipelineStateError", RuntimeError),
        ("MissingDependencyError", ImportError),
        ("RunFailed", RuntimeError),
        ("MergeError", RuntimeError),
        ("StoreBusyError", RuntimeError),
    ],
)
def test_is_the_builtin_of_its_contract(name, builtin):
    """Each error can be caught as the builtin."""
    assert issubclass(getattr(errors, name), builtin)
    assert issubclass(getattr(errors, name), CuratorError)


def test_unknown_name_lists_the_nearest_first():
    """The list begins with what was probably meant."""
    assert str(UnknownNameError.of("backend", "sequental", ["dask", "sequential"])) == (
        "Unknown backend 'sequental'. Known: sequential, dask."
    )


def test_missing_dependency_says_what_to_install():
    """The text names package and extra."""
    assert "needs pandas. Install it with: pip install 'curator-dagster[pandas]'" in str(
        MissingDependencyError.of("pandas", "pandas", "to_pandas")
    )
