"""What a user writes: components with parameters, and pipelines of them; no run, no database."""

from curator_core.moved import attributes_of

__getattr__ = attributes_of(__name__, "curator_core.pipeline.pipeline")
