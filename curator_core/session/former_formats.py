"""Databases whose configurations have another format: their records cannot be compared, and a warning says so."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from curator_core.pipeline.components import Component
from curator_core.pipeline.config import CONFIG_FORMAT, component_identity
from curator_core.store import MetricsStore
from curator_core.store.inventory import database_of_other_format

_logger = logging.getLogger("curator")
_OTHER_FORMAT = (
    "%s was begun by a development version of curator, which named components otherwise: what it recorded cannot be "
    "compared with this pipeline and is left where it is, and every item is processed afresh."
)
_passed_over: set[Path] = set()
"""Databases of which that was said."""


def tell_former_runs(store: MetricsStore, config_hash: str) -> None:
    """Say that a database has runs of another format, and none of the configuration."""
    if store.latest_run(config_hash) is None and store.has_other_formats(CONFIG_FORMAT):
        _logger.warning(_OTHER_FORMAT, store.path)


def tell_former_database(folder: Path, parts: Iterable[Component]) -> None:
    """Say, once, that a database in the cache folder, which has another name, is passed over."""
    names = [{type(p).__name__, p.component_name(), component_identity(type(p)).rpartition(":")[2]} for p in parts]
    path = database_of_other_format(folder, CONFIG_FORMAT, names)
    if path is not None and path not in _passed_over:
        _passed_over.add(path)
        _logger.warning(_OTHER_FORMAT, path)
