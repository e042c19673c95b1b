"""What is curated, its partitions, and what a run of it was launched with."""

from curator_core.moved import attributes_of

__getattr__ = attributes_of(__name__, "curator_dagster.curation.curation")
