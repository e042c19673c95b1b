"""What is tried on a disk that gets full: how it begins, what is done, and what must be there in the end."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms

import curator_core.session.compaction
from curator_core import Pipeline, Source, gather_pipeline, run_pipeline
from curator_core.cli import main
from curator_core.domains.atoms import AtomicDataZarrSink
from curator_core.domains.atoms.filters import AtomicStatsFilter
from curator_core.errors import CuratorError
from curator_core.testing import DatasetSink, FileSource, JsonSink, StatisticsFilter
from curator_core.workflow import Block, DataGenerator, Domain, ExperimentData, Step, Workflow


def processed(name: str) -> None:
    """Note, off the disk, that something is processed."""
    with Path(os.environ["PROCESSED_LOG"]).open("a") as file:
        file.write(f"{name}\n")


def digest(path: Path) -> str | None:
    """Of a file, or of all that is in a folder."""
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.relative_to(path)}:".encode() + file.read_bytes())
    return found.hexdigest()[:16]


class Files(FileSource):
    """Says which items are processed."""

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        processed(self.key(index))
        yield from super().__getitem__(index)


class Structures(Source[Atoms]):
    """Some structures of some atoms."""

    def __init__(self, n: int, size: int = 3) -> None:
        self.n, self.size = n, size

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Generator[Atoms, None, None]:
        processed(str(index))
        rng = np.random.default_rng(index)
        yield Atoms(["H"] * self.size, positions=rng.normal(size=(self.size, 3)))

    def key(self, index: int) -> str:
        return str(index)

    def fingerprint(self, index: int) -> str:
        return "same"


class Situation:
    """One of them; the folder is the disk."""

    ends_workers: ClassVar[bool] = False
    """Whether processes may be ended at an item: what they had begun is replaced when that is done again."""

    def prepare(self, folder: Path) -> None:
        """What is there before."""

    def act(self, folder: Path) -> None:
        """What is done while the disk gets full, and again afterwards."""

    def published(self, folder: Path) -> dict[str, str | None]:
        """What others may be reading at any moment."""
        return {}

    def state(self, folder: Path) -> object:
        """What must be the same in the end."""
        return None

    def recorded(self, folder: Path) -> set[str]:
        """Keys of what is recorded completed."""
        return set()


class Curation(Situation):
    """A dataset that was published grows."""

    outputs: tuple[str, ...] = ()
    n_before, n_after = 2, 6
    options: ClassVar[dict[str, Any]] = {"gather": True}
    max_loose = 500

    def pipeline(self, folder: Path) -> Pipeline[Any]:
        raise NotImplementedError

    def write_inputs(self, folder: Path, n: int) -> None:
        (folder / "in").mkdir(exist_ok=True)
        for k in range(n):
            (folder / "in" / f"{k}.txt").write_text(f"{k} {k + 1}")

    def prepare(self, folder: Path) -> None:
        self.write_inputs(folder, self.n_before)
        if self.n_before:
            run_pipeline(
                self.pipeline(folder), progress=False, **{**self.options, "n_jobs": 1, "backend": "sequential"}
            )
        self.write_inputs(folder, self.n_after)

    def act(self, folder: Path) -> None:
        curator_core.session.compaction.MAX_LOOSE = self.max_loose
        run_pipeline(self.pipeline(folder), progress=False, **self.options)

    def published(self, folder: Path) -> dict[str, str | None]:
        return {name: digest(folder / name) for name in self.outputs}

    def state(self, folder: Path) -> object:
        items = {p.name: digest(p) for p in (folder / "out").glob("*")} if (folder / "out").exists() else {}
        loose = sorted(p.name for p in folder.glob("*_shard_*"))
        return {"items": items, "loose": loose, "done": self._plan(folder)}

    def _plan(self, folder: Path) -> object:
        return self.pipeline(folder).plan().counts()

    def recorded(self, folder: Path) -> set[str]:
        if not (folder / "m.db").exists():
            return set()
        plan = self.pipeline(folder).plan()
        source = self.pipeline(folder).source
        return {source.key(k) for k, reason in enumerate(plan.reasons) if not reason}


class Numbers(Curation):
    outputs = ("table.json",)

    def pipeline(self, folder: Path) -> Pipeline[Any]:
        source = Files(str(folder / "in"), by_content=True)
        steps = [StatisticsFilter(str(folder / "table.json"))]
        return Pipeline(source, steps, JsonSink(str(folder / "out")), db_file=folder / "m.db", resume=True)


class FirstNumbers(Numbers):
    n_before = 0


class Merged(Curation):
    outputs = ("table.json", "data.json")

    def pipeline(self, folder: Path) -> Pipeline[Any]:
        source = Files(str(folder / "in"), by_content=True)
        steps = [StatisticsFilter(str(folder / "table.json"))]
        return Pipeline(source, steps, DatasetSink(str(folder / "data.json")), db_file=folder / "m.db", resume=True)


class Absorbed(Merged):
    max_loose = 1


class Pool(Merged):
    options: ClassVar[dict[str, Any]] = {"gather": True, "n_jobs": 2, "backend": "process_pool"}
    ends_workers = True


class Threads(Merged):
    options: ClassVar[dict[str, Any]] = {"gather": True, "n_jobs": 2, "backend": "thread_pool"}


class Gathering(Merged):
    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        run_pipeline(self.pipeline(folder), progress=False)

    def act(self, folder: Path) -> None:
        gather_pipeline(self.pipeline(folder))


class Molecules(Curation):
    outputs = ("mol.zarr", "stats.parquet")

    def pipeline(self, folder: Path) -> Pipeline[Any]:
        source = Structures(3 if not (folder / "more").exists() else 6, 200)
        return Pipeline(
            source,
            self.filters(folder),
            AtomicDataZarrSink(str(folder / "mol.zarr")),
            db_file=folder / "m.db",
            resume=True,
        )

    def filters(self, folder: Path) -> list[Any]:
        return [AtomicStatsFilter(str(folder / "stats.parquet"))]

    def write_inputs(self, folder: Path, n: int) -> None:
        if n == self.n_after:
            (folder / "more").touch()

    def state(self, folder: Path) -> object:
        return {"loose": sorted(p.name for p in folder.glob("*_shard_*")), "done": self._plan(folder)}


class Square(DataGenerator):
    def execute(self, experiment_sample: Any) -> Any:
        x = experiment_sample.input_data["x"]
        experiment_sample.store("y", x * x)
        experiment_sample.store("field", np.full(600, x), to_disk=True)
        return experiment_sample


class Sampled(Block):
    def call(self, data: ExperimentData, **_: Any) -> ExperimentData:
        domain = Domain()
        domain.add_float("x", 0.0, 1.0)
        domain.add_output("y")
        domain.add_output("field", to_disk=True)
        return ExperimentData(domain=domain, input_data=[{"x": k / 4} for k in range(4)])


class Study(Situation):
    parallel = False

    def act(self, folder: Path) -> None:
        workflow = Workflow("study", [Step(Sampled(), "sample"), Step(Square(), "square", parallel=self.parallel)])
        workflow.run(project_job="job", rootdir=folder, n_jobs=1, backend="sequential")

    def state(self, folder: Path) -> object:
        data = ExperimentData.from_file(folder / "job")
        inputs, outputs = data.to_pandas()
        return [
            inputs.to_csv(),
            outputs["y"].to_list(),
            [np.asarray(v).tolist() for v in outputs["field"]],
            list(data.jobs),
        ]


class ParallelStudy(Study):
    parallel = True


class Table(Situation):
    """A table of experiments, with arrays, is stored over another."""

    def prepare(self, folder: Path) -> None:
        self._data(2).store(folder / "t")

    def _data(self, n: int) -> ExperimentData:
        domain = Domain()
        domain.add_float("x", 0.0, 10.0)
        domain.add_output("field", to_disk=True)
        return ExperimentData(
            domain=domain,
            input_data=[{"x": float(k)} for k in range(n)],
            output_data=[{"field": np.full(900, k)} for k in range(n)],
        )

    def act(self, folder: Path) -> None:
        self._data(5).store(folder / "t")

    def published(self, folder: Path) -> dict[str, str | None]:
        data = ExperimentData.from_file(folder / "t")
        _, outputs = data.to_pandas()
        return {"table": json.dumps([np.asarray(v).tolist()[:1] for v in outputs["field"]])}


class Recorded(Situation):
    """Something is done with what a run left."""

    results: tuple[str, ...] = ()

    def prepare(self, folder: Path) -> None:
        (folder / "in").mkdir()
        for k in range(3):
            (folder / "in" / f"{k}.txt").write_text(f"{k}")
        run_pipeline(self.pipeline(folder), progress=False)
        self.pipeline(folder).save(folder / "p.yaml")

    def pipeline(self, folder: Path) -> Pipeline[Any]:
        source = FileSource(str(folder / "in"), by_content=True)
        return Pipeline(source, [], JsonSink(str(folder / "out")), db_file=folder / "m.db", resume=True)

    def published(self, folder: Path) -> dict[str, str | None]:
        return {name: "there" if (folder / name).exists() else None for name in self.results}


class Metrics(Recorded):
    """What a run cost, as files."""

    results = ("a.json", "a.csv", "a.parquet")

    def act(self, folder: Path) -> None:
        metrics = self.pipeline(folder).metrics
        metrics.to_json(folder / "a.json")
        metrics.to_csv(folder / "a.csv")
        metrics.to_parquet(folder / "a.parquet")


class PipelineFile(Recorded):
    """A pipeline is saved over another, and beside it."""

    results = ("p.yaml", "p.json")

    def act(self, folder: Path) -> None:
        for name in self.results:
            self.pipeline(folder).save(folder / name)


class Report(Recorded):
    """The page with plots."""

    results = ("r.html",)

    def act(self, folder: Path) -> None:
        from curator_core.report import write_report

        write_report(folder / "m.db", folder / "r.html")


class Command(Recorded):
    """A command of `curator`."""

    words: tuple[str, ...] = ()

    def act(self, folder: Path) -> None:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            status = main([word.format(folder) for word in self.words])
        text = said.getvalue()
        if status:
            raise (RuntimeError if "unexpected" in text or "Errno" in text else CuratorError)(text)


def command(*words: str, results: tuple[str, ...] = ()) -> type[Command]:
    """The situation of a command line; braces stand for the folder."""
    return type("AnyCommand", (Command,), {"words": words, "results": results})


class Scripts(Command):
    """The scripts of a workflow."""

    words = ("workflow", "scripts", "{}/study.yaml", "--out", "{}/scripts", "--cluster", "{}/cluster.yaml")
    results = ("scripts/orchestrator.sh", "scripts/square.sh")

    def prepare(self, folder: Path) -> None:
        square = {"block": {"_target_": "situations.Square"}, "name": "square", "parallel": True}
        (folder / "study.yaml").write_text(json.dumps({"name": "study", "steps": [square]}))
        (folder / "cluster.yaml").write_text("{}")


SITUATIONS: dict[str, type[Situation]] = {
    "numbers": Numbers,
    "first": FirstNumbers,
    "merged": Merged,
    "absorbed": Absorbed,
    "gathering": Gathering,
    "molecules": Molecules,
    "threads": Threads,
    "pool": Pool,
    "study": Study,
    "parallel_study": ParallelStudy,
    "table": Table,
    "metrics": Metrics,
    "pipeline_file": PipelineFile,
    "report": Report,
    "cli_run": command("run", "{}/p.yaml", "--no-resume", "--quiet"),
    "cli_retry": command("retry", "{}/p.yaml"),
    "cli_status": command("status", "{}/m.db"),
    "cli_plan": command("plan", "{}/p.yaml"),
    "cli_csv": command("export", "{}/m.db", "-o", "{}/x.csv", results=("x.csv",)),
    "cli_json": command("export", "{}/m.db", "-o", "{}/x.json", results=("x.json",)),
    "cli_parquet": command("export", "{}/m.db", "-o", "{}/x.parquet", results=("x.parquet",)),
    "cli_scripts": Scripts,
    "cli_init": command("dagster", "init", "{}/home", "--force", results=("home/dagster.yaml",)),
}
