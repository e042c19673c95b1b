"""What materializations say of items and datasets."""

from curator_core.moved import attributes_of

__getattr__ = attributes_of(__name__, "curator_dagster.metadata.item")
