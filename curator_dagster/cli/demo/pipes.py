"""The demo of meshes: heat through pipes, with files that are refused, one of which arrives again, whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from curator_dagster import mesh_demo_definitions as definitions
from curator_dagster.cli.demo.tour import Part, Refreshed, Tour

_KEPT: Final = 0.6
"""Share of the bytes of the file that is cut off."""


class PipesTour(Tour):
    """VTU files of solved cases to one dataset of their surfaces."""

    def __init__(self, folder: Path, cases: int) -> None:
        super().__init__(folder)
        self.cases = cases
        self.input = definitions.pipes_directory() / "input"
        self.whole = definitions.pipes_directory() / "again" / definitions.TRUNCATED
        """The file that was cut off, until it arrives again."""
        self.pipes = Part(
            definitions.PIPES,
            definitions,
            definitions.pipes_pipeline,
            definitions.pipes_refresh,
            definitions.pipes_dataset(),
            refused=frozenset(definitions.REFUSED),
        )

    def follow(self) -> Sequence[Refreshed]:
        self.make_input(self.input, f"{self.cases} pipes, meshed and solved", self._write)
        pipes = self.refresh(self.pipes)
        if self.whole.exists() and pipes.dataset.exists() and not pipes.is_failed:
            self.console.print(f"{self.whole.name} arrives again, whole.")
            self.whole.rename(self.input / self.whole.name)
            pipes = self.refresh(self.pipes)
        return [pipes]

    def _write(self, folder: Path) -> None:
        """Every case, of which one is in millimetres, and one cut off."""
        from curator_dagster.cli.demo.heat import Pipe, write_case

        for number in range(self.cases):
            name = f"case-{number:03}.vtu"
            write_case(Pipe.of(number), folder / name, unit=1e-3 if name == definitions.IN_MM else 1.0)
        cut = folder / definitions.TRUNCATED
        self.whole.parent.mkdir(parents=True, exist_ok=True)
        self.whole.write_bytes(cut.read_bytes())
        cut.write_bytes(cut.read_bytes()[: int(_KEPT * cut.stat().st_size)])

    def rows(self, refreshed: Refreshed) -> Mapping[str, str]:
        found = refreshed.refused
        output = definitions.pipes_directory() / "output"
        found |= {"statistics": f"{output / 'statistics.parquet'} (by area)", "checks": str(output / "checks.json")}
        return found | {"report": self._report(refreshed)}

    def _report(self, refreshed: Refreshed) -> str:
        from curator_core.report import write_report

        page = definitions.pipes_directory() / f"{definitions.PIPES}.html"
        write_report(str(refreshed.pipeline.db_path), page, dataset=refreshed.part.dataset)
        return f"{page} (with surfaces, coloured by temperature)"

    def next_steps(self) -> Sequence[str]:
        dataset = self.pipes.dataset
        return [
            "make ui        the files, the checks and what is in the dataset, in Dagster",
            f"curator versions list {dataset}",
            f"python -c \"from curator_core import open_dataset; print(open_dataset('{dataset}')[0].parts)\"",
        ]
