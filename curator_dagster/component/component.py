"""`CurationComponent`: a curation from a ``defs.yaml``."""

# No deferred annotations here: Dagster reads those of components as they are.
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from dagster import (
    AssetKey,
    AssetSpec,
    Component,
    ComponentLoadContext,
    ComponentTypeSpec,
    DagsterInvalidDefinitionError,
    Definitions,
    ExecutorDefinition,
    HookDefinition,
    Model,
    ResolutionContext,
    Resolvable,
    Resolver,
    scaffold_with,
)
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import BaseModel, Field, PrivateAttr

from curator_core import Pipeline
from curator_core.errors import ConfigError, CuratorError
from curator_core.pipeline import imported, read_mapping
from curator_dagster.component.op import CurationOp
from curator_dagster.component.scaffolding import CurationScaffolder
from curator_dagster.component.templates import check_templates, rendered, rendered_texts, secrets_read, with_variables
from curator_dagster.curation.secrets import check_unrecorded
from curator_dagster.definitions import build_curation_defs
from curator_dagster.executors.choice import named_executor
from curator_dagster.translator import CurationAssetProps, CurationTranslator

PipelineFactory = Callable[..., Pipeline[Any]]


def _template_variables(props: CurationAssetProps) -> dict[str, object]:
    return {"props": props}


@scaffold_with(CurationScaffolder)
class CurationComponent(Component, Resolvable, Model):
    """A folder of scientific data as partitions, each item processed once, and the dataset merged from them.

    Gives what `build_curation_defs` gives, with the same settings.
    """

    name: str = Field(description="Prefix of everything: {name}/samples, {name}/dataset, the job {name}_refresh.")
    pipeline: Annotated[str | dict[str, Any], Resolver(rendered_texts, model_field_type=str | dict[str, Any])] = Field(
        description="What is done: a pipeline file, relative to this one; its entries; or module:factory.",
        examples=["pipeline.yaml", "my_project.pipelines:molecules"],
    )
    executor: Annotated[
        str | dict[str, dict[str, Any] | None] | None,
        Resolver(rendered, model_field_type=str | dict[str, dict[str, Any] | None]),
    ] = Field(
        default=None,
        description="Carries the work: in_process, multiprocess or dask; or one of them with its configuration.",
        examples=["in_process", {"multiprocess": {"max_concurrent": 4}}],
    )
    executor_for: Literal["all", "jobs"] = Field(
        default="all", description="Whom the executor is for: also runs of assets of the code location, or jobs alone."
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
    hooks: list[str] | None = Field(
        default=None, description="Hooks of every op, as module:name.", examples=[["my_project.hooks:on_failure"]]
    )
    # From here on, settings are passed on under their names, if they are given.
    batch_size: int | None = Field(default=None, description="Items per step; sized from the number of CPUs.")
    partition_size: int = Field(default=1, description="Items per partition, for sources beyond 100,000 items.")
    prune: bool = Field(default=False, description="Remove the partitions of items that vanished from the source.")
    max_missing: int | float = Field(
        default=0, description="Publish the dataset although this many items failed: a number, or a fraction."
    )
    keep_versions: int | None = Field(
        default=None, description="Versions of the dataset that are kept, the newest counted; 2 by default."
    )
    checks: bool | list[str] = Field(default=True, description="Asset checks: all, none, or names of built-in ones.")
    key_prefix: str | list[str] | None = Field(
        default=None, description="What stands before the name in the keys of the assets.", examples=[["lake", "raw"]]
    )
    group_name: str | None = Field(default=None, description="Asset group; the name by default.")
    watch: bool | float | None = Field(
        default=None, description="Look for new data every 30 seconds, at another interval in seconds, or not (false)."
    )
    schedule: str | None = Field(default=None, description="Cron expression of a schedule for the refresh job.")
    timezone: str = Field(default="UTC", description="Time zone of the cron expression.", examples=["Europe/Berlin"])
    deps: Sequence[str] | None = Field(default=None, description="Keys of assets upstream of the samples, as a/b.")
    tags: Annotated[dict[str, Any] | None, Resolver(rendered, model_field_type=dict[str, Any] | None)] = Field(
        default=None,
        description="Tags of the runs of the jobs, from when they are requested.",
        examples=[{"team": "x"}],
    )
    start_automation: bool = Field(default=False, description="Sensors and schedule need not be turned on in the UI.")
    backend: str | None = Field(
        default=None, description="Run backend that gets all items that are due in one step.", examples=["slurm"]
    )
    backend_options: Annotated[dict[str, Any] | None, Resolver(rendered, model_field_type=dict[str, Any] | None)] = (
        Field(default=None, description="Its options: for slurm, cluster and resources.")
    )

    _templates: ResolutionContext | None = PrivateAttr(default=None)

    @classmethod
    def resolve_from_model(cls, context: ResolutionContext, model: BaseModel) -> Self:
        """The component that a ``defs.yaml`` describes, for Dagster; the pipeline file that it names has its templates.

        Raises
        ------
        ConfigError
            A template has a name that is not known.
        """
        context = with_variables(context)
        for name in model.model_fields_set - {"translation"}:  # which has names of its own
            check_templates(context, getattr(model, name), name)
        found: Self = super().resolve_from_model(context, model)
        found._templates = context
        return found

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

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """Definitions of the curation; no data is read.

        Raises
        ------
        DagsterInvalidDefinitionError
            A setting is wrong; the message names the file.
        """
        folder = context.path if context.path.is_dir() else context.path.parent
        templates = self._templates or with_variables(context.resolution_context, context)
        given = self.model_fields_set - {"name", "pipeline", "executor", "translation", "op", "hooks"}
        try:
            return build_curation_defs(
                self.name,
                self._pipeline(folder, templates),
                executor=self._executor(),
                translator=_OfComponent(self),
                **{setting: getattr(self, setting) for setting in sorted(given - {"deps"})},
                deps=[AssetKey.from_user_string(key) for key in self.deps or ()],
                hooks={cast("HookDefinition", imported(hook, where="hooks")) for hook in self.hooks or ()},
                **({} if self.op is None else self.op.settings()),
            )
        except (CuratorError, DagsterInvalidDefinitionError) as exc:
            raise DagsterInvalidDefinitionError(f"In {folder}: {exc}") from None

    def _pipeline(self, folder: Path, templates: ResolutionContext) -> Pipeline[Any] | PipelineFactory:
        given = self.pipeline
        is_file = isinstance(given, str) and Path(given).suffix in (".yaml", ".yml", ".json")
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

    def _executor(self) -> ExecutorDefinition | None:
        if self.executor is None:
            return None
        chosen = {self.executor: None} if isinstance(self.executor, str) else self.executor
        if len(chosen) != 1:
            raise ConfigError(f"executor: one of them is needed, with its configuration; got {', '.join(chosen)}.")
        ((name, config),) = chosen.items()
        return named_executor(name, config)


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
