"""GPU memory per item, as torch and CuPy tell it; here stand-ins tell it, on a machine without a GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from curator_core import run_pipeline
from curator_core.testing import JsonSink, NumbersSource


class Cuda:
    """What is used of ``torch.cuda``; each item allocates more."""

    def __init__(self, *, is_initialized):
        self.is_used = is_initialized
        self.peak = 0

    def is_initialized(self):
        return self.is_used

    def reset_peak_memory_stats(self):
        self.peak = 0

    def max_memory_allocated(self):
        return self.peak


class Allocating(NumbersSource):
    """Item k takes k + 1 MiB of the GPU in `sys.modules`."""

    def __getitem__(self, index):
        sys.modules["torch"].cuda.peak += (index + 1) << 20
        yield index


@pytest.fixture
def measured(tmp_path):
    """Function that gives the GPU memory recorded for each of three items."""

    def run(source):
        pipeline = source.write(JsonSink(str(tmp_path / "out"))).with_settings(
            db_file=tmp_path / "run.db", track_gpu=True
        )
        run_pipeline(pipeline, backend="sequential", progress=False)
        return [index.gpu_memory_bytes for index in pipeline.metrics.indices]

    return run


def test_torch_tells_the_peak_of_each_item(measured, monkeypatch):
    """The peak is that of the item, not of all before it."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda(is_initialized=True)))
    assert measured(Allocating(3)) == [1 << 20, 2 << 20, 3 << 20]


def test_torch_that_uses_no_gpu_is_left_alone(measured, monkeypatch):
    """A process that does not use the GPU gets no context on it; nothing is recorded."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda(is_initialized=False)))
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert measured(Allocating(3)) == [None] * 3


@pytest.mark.parametrize(("is_available", "expected"), [(True, [512] * 3), (False, [None] * 3)])
def test_cupy_tells_what_is_in_use(measured, monkeypatch, is_available, expected):
    """Where CuPy is loaded and there is a GPU."""
    pool = SimpleNamespace(used_bytes=lambda: 512)
    cuda = SimpleNamespace(is_available=lambda: is_available)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda, get_default_memory_pool=lambda: pool))
    assert measured(NumbersSource(3)) == expected
