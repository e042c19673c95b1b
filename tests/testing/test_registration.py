"""Names for the time of a test."""

from __future__ import annotations

from curator_core import RunBackend, list_backends, register_component, run_pipeline
from curator_core.pipeline.registry import components
from curator_core.testing import JsonSink, NumbersSource, registered


class Alone(RunBackend):
    """One item after the other."""

    name = "alone"

    def run(self, pipeline, config):
        return [pipeline[index] for index in config.indices]


class Ones(NumbersSource):
    """Numbers under another name."""

    name = "ones"


def test_names_are_known_within(tmp_path):
    """Components and backends, those that are registered within too."""
    with registered(Alone, Ones):
        assert (components.get("ones"), components.name_of(Ones)) == (Ones, "ones")
        pipeline = Ones(2).write(JsonSink(str(tmp_path / "out"))).with_settings(track_metrics=False)
        assert len(run_pipeline(pipeline, backend="alone", progress=False)) == 2
        register_component(type("Twos", (NumbersSource,), {"name": "twos"}))
        assert components.has("twos")
    assert "alone" not in list_backends()
    assert not components.has("ones")
    assert not components.has("twos")
