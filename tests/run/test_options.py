"""What a backend says of itself: its options, and the flags that follow from them or are set."""

from __future__ import annotations

from typing import Any

import pytest

from curator_core import Filter, RunBackend, register_backend, run_pipeline
from curator_core.errors import ConfigError, UnknownNameError
from curator_core.run.backends.sequential import SequentialBackend
from curator_core.run.backends.thread_pool import ThreadPoolBackend
from curator_core.run.base import BUILT_IN_BACKENDS, backends
from curator_core.run.options import Option
from curator_core.testing import JsonSink, NumbersSource, registered

INSTALLED = [name for name in BUILT_IN_BACKENDS if name != "dagster"]


@pytest.fixture(autouse=True)
def _registry():
    with registered():
        yield


@pytest.fixture
def pipeline(tmp_path):
    return NumbersSource(2).write(JsonSink(str(tmp_path / "out"))).with_settings(track_metrics=False)


class Recorded(RunBackend):
    """Keeps the options that a run gave it."""

    given = None

    def run(self, pipeline, config):
        type(self).given = dict(config.backend_options)  # type: ignore[assignment]
        return [pipeline[i] for i in config.indices]


def even(value):
    if value % 2:
        raise ConfigError(f"an even number is needed, not {value}")


def test_a_value_is_checked_where_the_option_is_declared(pipeline, tmp_path):
    """A wrong value is refused before anything is processed, a right one reaches the backend."""

    @register_backend
    class Even(Recorded):
        name = "even"
        options = {"size": Option("How many.", even), "free": Option("Whatever.")}  # noqa: RUF012

    with pytest.raises(ConfigError, match="an even number is needed, not 3"):
        run_pipeline(pipeline, backend="even", n_jobs=2, progress=False, size=3)
    assert not (tmp_path / "out").exists()
    run_pipeline(pipeline, backend="even", n_jobs=2, progress=False, size=4, free="x")
    assert Even.given == {"size": 4, "free": "x"}
    with pytest.raises(UnknownNameError, match="sizes"):
        run_pipeline(pipeline, backend="even", progress=False, sizes=4)


def test_names_alone_declare_options_too(pipeline):
    """A tuple of names refuses others and says what the backend can, as a mapping does."""

    @register_backend
    class Named(Recorded):
        name = "named"
        options = ("timeout", "cancel_on_interrupt")

    assert Named.takes_timeout
    assert Named.cancels_on_interrupt
    assert Named.declared_option("timeout") is None
    run_pipeline(pipeline, backend="named", n_jobs=2, progress=False, timeout="any")
    assert Named.given == {"timeout": "any"}
    with pytest.raises(UnknownNameError):
        run_pipeline(pipeline, backend="named", progress=False, other=1)


def test_flags_follow_from_options_unless_they_are_set():
    """A class that declares no options has the flags of its base, one that sets a flag keeps it."""

    class Plain(Recorded):
        name = "plain"

    class Silent(Recorded):
        options = ("timeout",)
        takes_timeout = False

    class Heir(Silent):
        pass

    flags = ("copies_pipeline", "loop_with_one_worker", "takes_timeout", "cancels_on_interrupt")
    assert [getattr(Plain, flag) for flag in flags] == [True, False, False, False]
    assert not Silent.takes_timeout
    assert not Heir.takes_timeout


def test_what_is_derived_from_our_own_is_used_with_one_worker(pipeline):
    """A loop takes the place of our own alone, and the checks of options are inherited, if their names are listed."""

    @register_backend
    class Pool(ThreadPoolBackend):
        name = "derived_pool"
        options = (*ThreadPoolBackend.options, "mine")
        n_pools = 0

        def pool(self, pipeline, config):
            type(self).n_pools += 1
            return super().pool(pipeline, config)

    assert (Pool.loop_with_one_worker, Pool.copies_pipeline) == (False, True)
    assert len(run_pipeline(pipeline, backend="derived_pool", progress=False, mine=1)) == 2
    assert Pool.n_pools == 1
    with pytest.raises(ConfigError, match="max_workers must be"):
        run_pipeline(pipeline, backend="derived_pool", progress=False, max_workers=0)


def test_a_needless_worker_is_a_loop(pipeline, caplog):
    """With one worker a loop takes the place of a backend that says so, unless an option asks for more."""

    @register_backend
    class Needless(Recorded):
        name = "needless"
        options = {"where": Option("Its place.", beyond_loop=True), "how": Option("Its way.")}  # noqa: RUF012
        loop_with_one_worker = True

    for options, given in (({"how": 1}, None), ({"where": 1}, {"where": 1})):
        assert len(run_pipeline(pipeline, backend="needless", progress=False, **options)) == 2
        assert Needless.given == given


def test_a_backend_in_this_process_needs_no_copies(pipeline):
    """One that processes the pipeline itself may have filters that gather, and calls the initializer here."""
    called = []

    @register_backend
    class Here(SequentialBackend):
        name = "here"
        options = None
        copies_pipeline = False

    class Gathering(Filter):
        def __init__(self):
            self._seen = []

        def __call__(self, items):
            for item in items:
                self._seen.append(item)
                yield item

        def flush(self):
            return []

    gathering = NumbersSource(2).filter(Gathering()).write(pipeline.sink).with_settings(track_metrics=False)
    run_pipeline(gathering, backend="here", n_jobs=2, progress=False, initializer=called.append, initargs=(1,))
    assert called == [1]
    Here.copies_pipeline = True
    with pytest.raises(ConfigError, match="a worker of backend 'here'"):
        run_pipeline(gathering, backend="here", n_jobs=2, progress=False)


@pytest.mark.parametrize("name", INSTALLED)
def test_built_in_backends_describe_every_option(name):
    """Each of our own has a sentence for each of its options."""
    described: Any = backends.get(name).options
    for option in described.values():
        assert option.description.endswith(".")


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("sequential", {"timeout": 0}),
        ("loky", {"timeout": -1}),
        ("slurm", {"timeout": True}),
        ("thread_pool", {"max_workers": 0}),
        ("process_pool", {"max_workers": 1.5}),
        ("process_pool", {"mp_context": "thread"}),
        ("process_pool", {"max_tasks_per_child": 0}),
        ("process_pool", {"max_tasks_per_child": 1, "mp_context": "fork"}),
        ("process_pool", {"initializer": 1}),
        ("process_pool", {"initargs": "text"}),
    ],
)
def test_wrong_values_of_our_own_options(backend, options):
    """They are refused by name before a run begins; None is the same as nothing."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        backends.get(backend).check_options(options)
    backends.get(backend).check_options(dict.fromkeys(options))
