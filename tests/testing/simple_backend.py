"""A backend of somebody else's; running this file makes it known."""

from curator_core import RunBackend, register_backend


class SimpleBackend(RunBackend):
    """The simplest backend that works."""

    name = "test_simple"

    def run(self, pipeline, config):
        return [pipeline[i] for i in config.indices]


register_backend(SimpleBackend)
