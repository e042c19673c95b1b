"""What people say of a dataset: its licence, who made it, how it is cited, what it is good for."""

from curator_core.pipeline.description.dataset import Creator, DatasetDescription, dataset_description
from curator_core.pipeline.description.rai import RAI_PROPERTIES

__all__ = ["RAI_PROPERTIES", "Creator", "DatasetDescription", "dataset_description"]
