"""Curations found in definitions, and where their datasets are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dagster import Definitions, JobDefinition

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.session import Session
from curator_dagster._compat.loading import carried_value
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.resources import set_up
from curator_dagster.metadata.item import CURATION_METADATA


def curations_in(defs: Definitions) -> dict[str, Curation]:
    """Curations by name."""
    metadata = (job.metadata for job in defs.jobs or () if isinstance(job, JobDefinition))
    found = [carried_value(entries, CURATION_METADATA) for entries in metadata]
    return {curation.name: curation for curation in found if isinstance(curation, Curation)}


def dataset_path(defs: Definitions, name: str) -> str:
    """Where the dataset of a curation is published, whether or not it is there yet; no data is read.

    Parameters
    ----------
    defs
        Definitions that `build_curation_defs` gave, on their own or merged with others.
    name
        Name of the curation.

    Raises
    ------
    UnknownNameError
        There is no curation of that name.
    ConfigError
        The pipeline cannot be built, or its sink merges no dataset.
    """
    curations = curations_in(defs)
    if name not in curations:
        raise UnknownNameError.of("curation", name, curations)
    declared = curations[name]
    with set_up(declared, partial(defs.resolve_assets_def, declared.samples_key)) as curation:
        outputs = Session(curation.open_pipeline()).outputs
    paths = [output.readable_path for output in outputs if output.kind == "sink"]
    if not paths:
        raise ConfigError(f"The sink of curation {name!r} merges no dataset: it writes what it gets item by item.")
    return paths[0] if "://" in paths[0] else str(Path(paths[0]).absolute())
