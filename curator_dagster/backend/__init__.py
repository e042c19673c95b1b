"""The backend `dagster` of `run_pipeline`."""

from curator_core.moved import attributes_of

__getattr__ = attributes_of(__name__, "curator_dagster.backend.backend")
