"""Pipelines that the tests of runs share."""

import pytest

from curator_core.testing import FaultySource, JsonSink, NumbersSource


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "out")


@pytest.fixture
def numbers(tmp_path, out):
    """Pipeline of `n` numbers with a fault table."""

    def build(n=5, faults=None, **settings):
        source = FaultySource(NumbersSource(n), str(tmp_path / "log"), faults)
        return source.write(JsonSink(out)).with_settings(db_file=tmp_path / "run.db", **settings)

    return build
