"""From a path on the command line to a pipeline and its database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from curator_core.errors import ConfigError, CuratorError, PipelineStateError, StoreError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.storage.places import cache_directory
from curator_core.store import location as store_location

_PIPELINE_SUFFIXES = (".yaml", ".yml", ".json")
"""Extensions of pipeline files; anything else is taken for a database."""


def import_from_here() -> None:
    """Let modules of the current folder be imported, after everything that is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def load_pipeline(path: str, *, db_file: str | None = None) -> Pipeline[Any]:
    """Build the pipeline that a file describes.

    Components named ``module:Class`` are looked for in the current folder, too.

    Raises
    ------
    ConfigError
        The file describes no pipeline, or a component refuses its parameters.
    """
    import_from_here()
    try:
        pipeline: Pipeline[Any] = Pipeline.load(path)
    except CuratorError:
        raise
    except (ImportError, OSError, TypeError, ValueError) as exc:  # raised by the components' own constructors
        raise ConfigError(f"{path}: the pipeline cannot be built: {type(exc).__name__}: {exc}") from exc
    return pipeline if db_file is None else pipeline.with_settings(db_file=db_file)


def latest_database(pipeline: Pipeline[Any]) -> Path | None:
    """The database that was last written for this configuration, ``None`` before its first run."""
    return store_location.latest_database(pipeline.config_hash, db_file=pipeline.db_file, db_dir=pipeline.db_dir)


def existing_database(pipeline: Pipeline[Any], path: str) -> Path:
    """`latest_database`, which must be there.

    Parameters
    ----------
    pipeline
        The pipeline.
    path
        Its file, for messages.

    Raises
    ------
    PipelineStateError
        The pipeline records nothing.
    StoreError
        There is no database yet.
    """
    if not pipeline.track_metrics:
        raise PipelineStateError(f"{path} records nothing: its settings say 'track_metrics: false'.")
    found = latest_database(pipeline)
    if found is not None:
        return found
    where = f"at {pipeline.db_file}" if pipeline.db_file is not None else f"in {cache_directory(pipeline.db_dir)}"
    raise StoreError(f"{path} has not been run yet: there is no metrics database of it {where}.")


def is_pipeline_file(path: str) -> bool:
    """Whether an argument ``DB|PIPELINE`` means a pipeline file."""
    return path.lower().endswith(_PIPELINE_SUFFIXES)


def recorded_at(path: str) -> tuple[Path, str | None]:
    """The database that an argument ``DB|PIPELINE`` means, and the configuration whose runs are meant, if it is one's.

    Parameters
    ----------
    path
        A metrics database, or a pipeline file, which means the last database written for it.

    Raises
    ------
    CuratorError
        The file describes no pipeline, or one of which nothing is recorded; see `existing_database`.
    """
    if not is_pipeline_file(path):
        return Path(path), None
    pipeline = load_pipeline(path)
    return existing_database(pipeline, path), pipeline.config_hash
