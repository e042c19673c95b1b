"""What the components of curations and workflows have in common: settings, and the templates in them."""

# No deferred annotations here: Dagster reads those of components as they are.
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from dagster import (
    AssetKey,
    Component,
    ComponentLoadContext,
    DagsterInvalidDefinitionError,
    Definitions,
    ExecutorDefinition,
    HookDefinition,
    Model,
    ResolutionContext,
    Resolvable,
    Resolver,
)
from pydantic import BaseModel, Field, PrivateAttr

from curator_core.errors import ConfigError, CuratorError
from curator_core.pipeline import imported
from curator_dagster.component.templates import check_templates, rendered, with_variables
from curator_dagster.executors.choice import named_executor

Mapped = Annotated[dict[str, Any] | None, Resolver(rendered, model_field_type=dict[str, Any] | None)]
"""A mapping with templates in it."""
FILE_SUFFIXES = (".yaml", ".yml", ".json")


class DefinitionsComponent(Component, Resolvable, Model):
    """What `build_curation_defs` or `build_workflow_defs` gives, with the same settings."""

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
    hooks: list[str] | None = Field(
        default=None, description="Hooks of every op, as module:name.", examples=[["my_project.hooks:on_failure"]]
    )
    # From here on, settings are passed on under their names, if they are given.
    prune: bool = Field(
        default=False, description="Remove the partitions of items that vanished, or of experiments in no table."
    )
    key_prefix: str | list[str] | None = Field(
        default=None, description="What stands before the name in the keys of the assets.", examples=[["lake", "raw"]]
    )
    group_name: str | None = Field(default=None, description="Asset group; the name by default.")
    schedule: str | None = Field(default=None, description="Cron expression of a schedule for the job.")
    timezone: str = Field(default="UTC", description="Time zone of the cron expression.", examples=["Europe/Berlin"])
    deps: Sequence[str] | None = Field(
        default=None, description="Keys of assets upstream of the partitioned asset, as a/b."
    )
    tags: Mapped = Field(
        default=None,
        description="Tags of the runs of the jobs, from when they are requested.",
        examples=[{"team": "x"}],
    )
    start_automation: bool = Field(default=False, description="Sensors and schedule need not be turned on in the UI.")
    backend_options: Mapped = Field(
        default=None, description="Options of the backend: of slurm, for one, cluster and resources."
    )

    _templates: ResolutionContext | None = PrivateAttr(default=None)

    @classmethod
    def resolve_from_model(cls, context: ResolutionContext, model: BaseModel) -> Self:
        """The component that a ``defs.yaml`` describes, for Dagster; the file that it names has its templates.

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

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """The definitions; no data is read.

        Raises
        ------
        DagsterInvalidDefinitionError
            A setting is wrong; the message names the file.
        """
        folder = context.path if context.path.is_dir() else context.path.parent
        try:
            return self._built(folder, self._templates or with_variables(context.resolution_context, context))
        except (CuratorError, DagsterInvalidDefinitionError) as exc:
            raise DagsterInvalidDefinitionError(f"In {folder}: {exc}") from None

    def _built(self, folder: Path, templates: ResolutionContext) -> Definitions:
        raise NotImplementedError

    def _settings(self, but: set[str]) -> dict[str, Any]:
        """Settings of both functions, by name, and all others that are given, `but` those."""
        apart = {"name", "executor", "translation", "op", "hooks", "deps"}
        return {setting: getattr(self, setting) for setting in sorted(self.model_fields_set - apart - but)} | {
            "executor": self._executor(),
            "deps": [AssetKey.from_user_string(key) for key in self.deps or ()],
            "hooks": {cast("HookDefinition", imported(hook, where="hooks")) for hook in self.hooks or ()},
        }

    def _executor(self) -> ExecutorDefinition | None:
        if self.executor is None:
            return None
        chosen = {self.executor: None} if isinstance(self.executor, str) else self.executor
        if len(chosen) != 1:
            raise ConfigError(f"executor: one of them is needed, with its configuration; got {', '.join(chosen)}.")
        ((name, config),) = chosen.items()
        return named_executor(name, config)
