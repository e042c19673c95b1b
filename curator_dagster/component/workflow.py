"""`WorkflowComponent`: a workflow from a ``defs.yaml``."""

# No deferred annotations here: Dagster reads those of components as they are.
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from dagster import (
    AssetsDefinition,
    AssetSpec,
    ComponentTypeSpec,
    DagsterInvalidDefinitionError,
    Definitions,
    ResolutionContext,
    Resolver,
    map_asset_specs,
    scaffold_with,
)
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import Field

from curator_core import Pipeline
from curator_core.errors import ConfigError
from curator_core.pipeline import imported, read_mapping
from curator_core.workflow import SlurmCluster, Workflow, WorkflowFile, all_steps, read_workflow
from curator_dagster.component.base import FILE_SUFFIXES, DefinitionsComponent
from curator_dagster.component.op import WorkflowOp
from curator_dagster.component.scaffolding import WorkflowScaffolder
from curator_dagster.component.templates import rendered, rendered_texts, secrets_read
from curator_dagster.curation.secrets import check_unrecorded
from curator_dagster.workflow.definitions import build_workflow_defs


@dataclass(frozen=True)
class WorkflowAssetProps:
    """One of the two assets of a workflow."""

    asset: Literal["experiments", "table"]
    """Which of the two."""
    name: str
    """Name of the workflow's definitions."""


def _template_variables(props: WorkflowAssetProps) -> dict[str, object]:
    return {"props": props}


@scaffold_with(WorkflowScaffolder)
class WorkflowComponent(DefinitionsComponent):
    """A workflow whose experiments are partitions, run and followed by one job, here or on SLURM.

    Gives what `build_workflow_defs` gives, with the same settings.
    """

    name: str = Field(description="Prefix of everything: {name}/experiments, {name}/table, the job {name}_run.")
    workflow: Annotated[str | dict[str, Any], Resolver(rendered_texts, model_field_type=str | dict[str, Any])] = Field(
        description="What is done: a workflow file, relative to this one; its entries; or module:workflow.",
        examples=["workflow.yaml", "my_project.studies:beams"],
    )
    translation: (
        Annotated[TranslationFn[WorkflowAssetProps], TranslationFnResolver[WorkflowAssetProps](_template_variables)]
        | None
    ) = Field(
        default=None,
        description="Attributes of both assets, such as owners or tags, no keys; in templates, props is the asset.",
        examples=[{"owners": ["team:lab"], "tags": {"study": "{{ props.name }}"}}],
    )
    op: WorkflowOp | None = Field(
        default=None,
        description="Settings of the op that runs the workflow: tags, pool, retry_policy.",
        examples=[{"pool": "licences"}],
    )
    rootdir: str | None = Field(
        default=None,
        description="Folder of jobs, relative to the project; that of the workflow file by default.",
        examples=["studies", "{{ env.SCRATCH }}/studies"],
    )
    cluster: Annotated[
        str | dict[str, Any] | None, Resolver(rendered, model_field_type=str | dict[str, Any] | None)
    ] = Field(
        default=None,
        description="Where mode slurm runs: a file, relative to this one, or its entries; that of the workflow file.",
        examples=["cluster.yaml", {"partition": "batch", "account": "lab"}],
    )
    # From here on, settings are passed on under their names, if they are given.
    project_job: str | None = Field(default=None, description="Name of the job's folder; the name by default.")
    mode: Literal["local", "slurm"] = Field(default="local", description="Here, or as jobs of a cluster.")
    backend: str = Field(default="auto", description="Run backend of parallel steps in mode local.")
    n_jobs: int = Field(default=-1, description="Its number of workers.")

    @classmethod
    def get_spec(cls) -> ComponentTypeSpec:
        """What `dg` lists."""
        return ComponentTypeSpec(tags=["workflow"])

    def _built(self, folder: Path, templates: ResolutionContext) -> Definitions:
        found = self._read(folder, templates)
        made = build_workflow_defs(
            self.name,
            found.workflow,
            rootdir=self._rootdir(found, templates),
            cluster=self._cluster(found, folder),
            **self._settings({"workflow", "rootdir", "cluster"}),
            **({} if self.op is None else self.op.settings()),
        )
        if self.translation is None:
            return made
        assets = map_asset_specs(self._translated, cast("list[AssetsDefinition | AssetSpec]", made.assets))
        parts = {part: getattr(made, part) for part in ("jobs", "schedules", "executor", "metadata")}
        return Definitions(assets=list(assets), **parts)

    def _read(self, folder: Path, templates: ResolutionContext) -> WorkflowFile:
        given = self.workflow
        if isinstance(given, str) and Path(given).suffix not in FILE_SUFFIXES:
            return WorkflowFile(_named(given))
        file = folder / (given if isinstance(given, str) else "defs.yaml")
        if isinstance(given, str):
            entries = rendered_texts(templates, read_mapping(file), str(file))
        else:
            entries = {"name": self.name} | given
        found = read_workflow(entries, Workflow, file=file)
        for step in all_steps(found.workflow.steps):
            if isinstance(step.block, Pipeline):
                check_unrecorded(step.block, secrets_read(templates), f"workflow: step {step.name!r}")
        return found

    def _rootdir(self, found: WorkflowFile, templates: ResolutionContext) -> Path:
        given = self.rootdir or found.rootdir
        if given is None:
            raise ConfigError("rootdir: the folder of jobs is needed, here or in the workflow file.")
        return Path(templates.scope.get("project_root", Path.cwd()), given)

    def _cluster(self, found: WorkflowFile, folder: Path) -> SlurmCluster | None:
        if self.cluster is None:
            return found.cluster
        return SlurmCluster.from_yaml(folder / self.cluster if isinstance(self.cluster, str) else self.cluster)

    def _translated(self, spec: AssetSpec) -> AssetSpec:
        assert self.translation is not None  # noqa: S101 - as its caller says
        asset: Any = spec.key.path[-1]
        found = self.translation(spec, WorkflowAssetProps(asset, self.name))
        if (found.key, found.partitions_def) != (spec.key, spec.partitions_def):
            raise DagsterInvalidDefinitionError(
                f"translation: it changes the key or the partitions of {spec.key.to_user_string()}, which are the "
                "workflow's own; key_prefix stands before the keys."
            )
        return found


def _named(reference: str) -> Workflow:
    if ":" not in reference:
        raise ConfigError(
            f"workflow: {reference!r} is neither a workflow file (.yaml, .yml or .json) nor module:workflow."
        )
    found = imported(reference, where="workflow")
    try:
        made = found() if callable(found) and not isinstance(found, type) else found
    except (ImportError, OSError, TypeError, ValueError) as exc:
        raise ConfigError(f"workflow: {reference!r} cannot be built: {type(exc).__name__}: {exc}") from exc
    if not isinstance(made, Workflow):
        raise ConfigError(f"workflow: {reference!r} must be a Workflow, or a function that returns one, not {made!r}.")
    return made
