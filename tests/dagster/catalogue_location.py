"""A code location whose pipeline is built from a resource with a token; where things are comes from the environment."""

import os
from pathlib import Path
from typing import Annotated

from dagster import ConfigurableResource, Definitions, EnvVar, ResourceParam
from numbers_location import NumberFiles, NumbersDataset

from curator_core import SECRET, Pipeline
from curator_dagster import build_curation_defs
from curator_dagster.executors.choice import named_executor

BUILT: list[str] = []
"""Tokens that a pipeline was built with in this process."""


class Catalogue(ConfigurableResource):
    """Where the files are, and what opens them."""

    folder: str
    token: str


class Guarded(NumberFiles):
    """Files that are read with a token; an error quotes it."""

    def __init__(self, folder: str, token: Annotated[str, SECRET]) -> None:
        super().__init__(folder)
        self._token = token

    def __getitem__(self, index):
        for number in super().__getitem__(index):
            if number == 13:
                raise PermissionError(f"{self._token} does not open it")
            yield number


def guarded_pipeline(catalogue: Catalogue, suffix: ResourceParam[str]) -> Pipeline:
    BUILT.append(catalogue.token)
    folder = Path(catalogue.folder)
    sink = NumbersDataset(str(folder / "output" / f"numbers{suffix}"))
    return Pipeline(Guarded(str(folder / "input"), catalogue.token), sink=sink, db_file=folder / "metrics.db")


defs = Definitions.merge(
    build_curation_defs(
        "numbers",
        guarded_pipeline,
        executor=named_executor(os.environ.get("NUMBERS_EXECUTOR", "in_process")),
        batch_size=100,
    ),
    Definitions(
        resources={
            "catalogue": Catalogue(folder=EnvVar("CATALOGUE_FOLDER"), token=EnvVar("CATALOGUE_TOKEN")),
            "suffix": ".json",
        }
    ),
)
