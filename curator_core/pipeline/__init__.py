"""What a user writes: components with parameters, and pipelines of them; no run, no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import attributes_of, names_in

if TYPE_CHECKING:
    from curator_core.pipeline.annotations import is_secret_name as is_secret_name
    from curator_core.pipeline.annotations import resolved_hints as resolved_hints
    from curator_core.pipeline.components import overrides as overrides
    from curator_core.pipeline.config import canonical_json as canonical_json
    from curator_core.pipeline.config import component_config as component_config
    from curator_core.pipeline.mapping_files import read_mapping as read_mapping
    from curator_core.pipeline.pipeline import Pipeline as Pipeline
    from curator_core.pipeline.registry import imported as imported
    from curator_core.redaction import Redactor as Redactor

_HOME = {
    "is_secret_name": "curator_core.pipeline.annotations",
    "Redactor": "curator_core.redaction",
    "resolved_hints": "curator_core.pipeline.annotations",
    "overrides": "curator_core.pipeline.components",
    "canonical_json": "curator_core.pipeline.config",
    "component_config": "curator_core.pipeline.config",
    "read_mapping": "curator_core.pipeline.mapping_files",
    "Pipeline": "curator_core.pipeline.pipeline",
    "imported": "curator_core.pipeline.registry",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME, attributes_of(__name__, "curator_core.pipeline.pipeline"))
