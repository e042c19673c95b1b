"""The demo of grids: weather in NetCDF and GRIB files, with a gap, files that are refused, and a correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from curator_dagster import grid_demo_definitions as definitions
from curator_dagster.cli.demo.tour import Part, Refreshed, Tour

_FIRST = date(2021, 1, 1)
_WARMER_K = 2.0


class WeatherTour(Tour):
    """NetCDF files of the surface, and GRIB files of pressure levels, to two datasets on one axis of time."""

    def __init__(self, folder: Path, days: int) -> None:
        super().__init__(folder)
        self.days = [_FIRST + timedelta(days=n) for n in range(days)]
        self.input = definitions.weather_directory() / "input"
        self.correction = definitions.weather_directory() / "correction"
        """Holds the corrected file, until it arrives."""
        dataset = definitions.weather_dataset
        self.surface = Part(
            definitions.SURFACE,
            definitions,
            definitions.surface_pipeline,
            definitions.surface_refresh,
            dataset("surface"),
            refused=frozenset(definitions.REFUSED),
        )
        self.levels = Part(
            definitions.LEVELS,
            definitions,
            definitions.levels_pipeline,
            definitions.levels_refresh,
            dataset("levels"),
        )

    def follow(self) -> Sequence[Refreshed]:
        what = f"{len(self.days)} days of weather in NetCDF and GRIB files"
        self.make_input(self.input, what, self._write)
        levels, surface = self.refresh(self.levels), self.refresh(self.surface)
        corrected = next(iter(sorted(self.correction.glob("*.nc"))), None)
        if corrected is not None and surface.dataset.exists() and not surface.is_failed:
            self.console.print(f"A correction arrives: {corrected.name}, {_WARMER_K:g} K warmer.")
            corrected.rename(self.input / "surface" / corrected.name)
            surface = self.refresh(self.surface)
        return [surface, levels]

    def _write(self, folder: Path) -> None:
        """Every day but one, two files in calendars of models, and the correction."""
        from curator_core.domains.grid import write_grib_day, write_netcdf_day

        gap = self.days[len(self.days) // 2]
        for day in self.days:
            write_grib_day(folder / "levels", day)
            if day != gap:
                write_netcdf_day(folder / "surface", day)
        for name, calendar in definitions.REFUSED.items():
            write_netcdf_day(folder / "surface", self.days[-1], calendar=calendar, name=name)
        write_netcdf_day(self.correction, self.days[1], warmer=_WARMER_K)

    def rows(self, refreshed: Refreshed) -> Mapping[str, str]:
        found = refreshed.refused
        gap = _gap(refreshed.part.dataset)
        found |= {"gap": gap} if gap else {}
        return found | {"last change": _newest(refreshed), "report": self._report(refreshed)}

    def _report(self, refreshed: Refreshed) -> str:
        from curator_core.report import write_report

        page = definitions.weather_directory() / f"{refreshed.part.name}.html"
        write_report(str(refreshed.pipeline.db_path), page, dataset=refreshed.part.dataset)
        return f"{page} (a map, the mean over time, what is there)"

    def next_steps(self) -> Sequence[str]:
        dataset = self.surface.dataset
        return [
            "make ui        the files and what of the datasets is there, in Dagster",
            f"curator versions list {dataset}",
            f"python -c \"from curator_core import open_dataset; print(open_dataset('{dataset}'))\"",
        ]


def _gap(dataset: str) -> str:
    """Steps that no file has; empty where there is none."""
    from curator_core.domains.grid import slot_status

    status = slot_status(dataset)["status"]
    is_absent = (status == 0).all("variable").values
    times = [str(time)[:16] for time in status["time"].values[is_absent]]
    return f"{times[0]} to {times[-1]}: {len(times)} of {len(is_absent)} steps have no file" if times else ""


def _newest(refreshed: Refreshed) -> str:
    """What the newest version added, changed and removed, and which share of its bytes is new."""
    from curator_core.datasets import list_versions

    record = list_versions(refreshed.part.dataset)[0].record
    counts = {"added": record.n_added, "changed": record.n_changed, "removed": record.n_removed}
    shown = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    share = record.new_bytes / max(1, refreshed.dataset.size())
    return f"{shown or 'nothing changed'}: {share:.1%} of {refreshed.dataset.size() / 1e6:.1f} MB are new"
