"""`CurationComponent`: a curation from a ``defs.yaml``."""

# No deferred annotations here: Dagster reads those of components as they are.
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

from dagster import AssetSpec, ComponentTypeSpec, Definitions, ResolutionContext, Resolver, scaffold_with
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import Field

from curator_core import Pipeline
from curator_core.errors import ConfigError, CuratorError
from curator_core.pipeline import imported, read_mapping
from curator_dagster.component.base import FILE_SUFFIXES, DefinitionsComponent
from curator_dagster.component.op import CurationOp
from curator_dagster.component.scaffolding import CurationScaffolder
from curator_dagster.component.templates import rendered_texts, secrets_read
from curator_dagster.curation.secrets import check_unrecorded
from curator_dagster.definitions import build_curation_defs
from curator_dagster.translator import CurationAssetProps, CurationTranslator

PipelineFactory = Callable[..., Pipeline[Any]]


def _template_variables(props: CurationAssetProps) -> dict[str, object]:
    return {"props": props}


@scaffold_with(CurationScaffolder)
class CurationComponent(DefinitionsComponent):
    """A folder of scientific data as partitions, each item processed once, and the dataset merged from them.

    Gives what `build_curation_defs` gives, with the same settings.
    """

    name: str = Field(description="Prefix of everything: {name}/samples, {name}/dataset, the job {name}_refresh.")
    pipeline: Annotated[str | dict[str, Any], Resolver(rendered_texts, model_field_type=str | dict[str, Any])] = Field(
        description="What is done: a pipeline file, relative to this one; its entries; or module:factory.",
        examples=["pipeline.yaml", "my_project.pipelines:molecules"],
    )
    translation: (
        Annotated[TranslationFn[CurationAssetProps], TranslationFnResolver[CurationAssetProps](_template_variables)]
        | None
    ) = Field(
        default=None,
        description="Attributes of both assets, such as key_prefix, owners or tags; in templates, props is the asset.",
        examples=[{"key_prefix": "lab", "tags": {"curation": "{{ props.name }}"}}],
    )
    op: CurationOp | None = Field(
        default=None,
        description="Settings of the ops: tags, pool, retry_policy, backfill_policy; or by role.",
        examples=[{"pool": "gpu", "tags": {"team": "lab"}}],
    )
    # From here on, settings are passed on under their names, if they are given.
    batch_size: int | None = Field(default=None, description="Items per step; sized from the number of CPUs.")
    partition_size: int = Field(default=1, description="Items per partition, for sources beyond 100,000 items.")
    max_missing: int | float = Field(
        default=0, description="Publish the dataset although this many items failed: a number, or a fraction."
    )
    keep_versions: int | None = Field(
        default=None, description="Versions of the dataset that are kept, the newest counted; 2 by default."
    )
    checks: bool | list[str] = Field(default=True, description="Asset checks: all, none, or names of built-in ones.")
    watch: bool | float | None = Field(
        default=None, description="Look for new data every 30 seconds, at another interval in seconds, or not (false)."
    )
    backend: str | None = Field(
        default=None, description="Run backend that gets all items that are due in one step.", examples=["slurm"]
    )

    @classmethod
    def get_spec(cls) -> ComponentTypeSpec:
        """What `dg` lists."""
        return ComponentTypeSpec(tags=["curation"])

    def get_asset_spec(self, props: CurationAssetProps) -> AssetSpec:
        """All that Dagster knows of an asset; to be overridden by subclasses.

        Parameters
        ----------
        props
            The asset.
        """
        spec = CurationTranslator().get_asset_spec(props)
        return spec if self.translation is None else self.translation(spec, props)

    def _built(self, folder: Path, templates: ResolutionContext) -> Definitions:
        return build_curation_defs(
            self.name,
            self._pipeline(folder, templates),
            translator=_OfComponent(self),
            **self._settings({"pipeline"}),
            **({} if self.op is None else self.op.settings()),
        )

    def _pipeline(self, folder: Path, templates: ResolutionContext) -> Pipeline[Any] | PipelineFactory:
        given = self.pipeline
        is_file = isinstance(given, str) and Path(given).suffix in FILE_SUFFIXES
        if isinstance(given, str) and not is_file:
            return _factory(given)
        try:
            if isinstance(given, dict):
                built: Pipeline[Any] = Pipeline.from_mapping(given, where="pipeline")
            else:
                file = folder / given
                built = Pipeline.from_mapping(rendered_texts(templates, read_mapping(file), str(file)), where=str(file))
        except CuratorError:
            raise
        except (ImportError, OSError, TypeError, ValueError) as exc:  # raised by the components' own constructors
            raise ConfigError(f"pipeline: it cannot be built: {type(exc).__name__}: {exc}") from exc
        check_unrecorded(built, secrets_read(templates), "pipeline")
        if built.sink is None:
            raise ConfigError("pipeline: it has no sink, so there would be nothing to publish; add the entry 'sink'.")
        return built


class _OfComponent(CurationTranslator):
    """Asks the component, which a subclass of it may have overridden."""

    def __init__(self, component: CurationComponent) -> None:
        self._component = component

    def get_asset_spec(self, props: CurationAssetProps) -> AssetSpec:
        return self._component.get_asset_spec(props)


def _factory(reference: str) -> PipelineFactory:
    if ":" not in reference:
        raise ConfigError(
            f"pipeline: {reference!r} is neither a pipeline file (.yaml, .yml or .json) nor module:factory."
        )
    found = imported(reference, where="pipeline")
    if not callable(found) and not isinstance(found, Pipeline):
        raise ConfigError(f"pipeline: {reference!r} must be a function that returns a Pipeline, not {found!r}.")
    return cast("PipelineFactory", found)
