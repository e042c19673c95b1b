"""What the workflow files of the tests name."""

from curator_core import Pipeline
from curator_core.testing import FileSource, JsonSink
from curator_core.workflow import Block, DataGenerator


class Design(Block):
    def __init__(self, n=1):
        if n < 0:
            raise ValueError(f"n must not be negative, got {n}")
        self.n = n

    def call(self, data, **kwargs):
        return data


class Fit(DataGenerator):
    def execute(self, experiment_sample, offset=0):
        return experiment_sample


class Idle(Block):
    pass


class Lazy(DataGenerator):
    pass


twice = Design() >> Design()
number = 3


def plot(project_dir, dpi=72):
    pass


def enough(data):
    return True


def never():
    return False


def make_pipeline():
    return FileSource("in").write(JsonSink("out"))


def sinkless():
    return Pipeline(FileSource("in"))
