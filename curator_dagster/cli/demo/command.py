"""The command ``curator demo``."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curator_core.errors import CuratorError, MissingDependencyError, OutputError, StoreBusyError
from curator_core.storage import ADVICE, exclusive_lock, make_folder

if TYPE_CHECKING:
    from curator_dagster.cli.demo.tour import Tour

_NEEDED = {
    "atoms": (("dagster", "dagster"), ("ase_db_backends", "atoms"), ("zarr", "atoms")),
    "grid": (
        ("dagster", "dagster"),
        *((package, "grid") for package in ("cftime", "eccodes", "netCDF4", "xarray", "zarr")),
        ("datasketches", "statistics"),
        ("pint", "units"),
        ("matplotlib", "report"),
    ),
    "mesh": (
        ("dagster", "dagster"),
        *((package, "mesh") for package in ("pyvista", "zarr")),
        ("pyarrow", "statistics"),
        ("scipy", "workflow"),
        ("matplotlib", "report"),
    ),
}
"""Packages of each demo, with the extras that bring them."""


@click.command("demo")
@click.argument("domain", type=click.Choice(sorted(_NEEDED)), default="atoms")
@click.option(
    "--directory", default="demo", show_default=True, type=click.Path(file_okay=False), help="Where everything goes."
)
@click.option(
    "--variants",
    default=54,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of atoms: rattled copies of each of the 81 molecules, when the input is made.",
)
@click.option(
    "--days",
    default=28,
    show_default=True,
    type=click.IntRange(min=4, max=1000),
    help="Of grid: days of weather, when the input is made.",
)
@click.option(
    "--cases",
    default=200,
    show_default=True,
    type=click.IntRange(min=43, max=1000),
    help="Of mesh: pipes, when the input is made.",
)
def demo_command(domain: str, directory: str, variants: int, days: int, cases: int) -> int:
    """Curate example files into a Zarr dataset through Dagster, and show the result.

    DOMAIN is atoms, 4,374 molecular structures, unless given; grid, a month of weather in NetCDF and GRIB files, with a
    gap, files that are refused, and a correction; or mesh, heat through 200 pipes in VTU files. The input is made once;
    after that, only what is new, changed or missing is processed. Add, change or delete files of the input and run it
    again.
    """
    for package, extra in _NEEDED[domain]:
        if find_spec(package) is None:
            raise MissingDependencyError.of(package, extra, "The demo")
    os.environ["CURATOR_DEMO_DIR"] = directory  # read by the code location, here and in the steps' processes
    folder = Path(directory)
    try:
        make_folder(folder)
        with exclusive_lock(folder / ".lock", timeout_s=0, holder="curator demo"):
            return _tour(domain, folder, variants, days, cases).run()
    except StoreBusyError:
        raise click.ClickException(f"Another demo is running in {directory}; wait for it, or stop it.") from None
    except CuratorError:
        raise
    except Exception as exc:
        if not re.search("No space left on device|disk is full", str(exc)):
            raise
        # Neither LMDB nor Dagster's storage names a file, or raises an OSError.
        raise OutputError(f"There is no room in {directory}: {exc}. {ADVICE} It goes on.", file=directory) from exc


def _tour(domain: str, folder: Path, variants: int, days: int, cases: int) -> Tour:
    if domain == "grid":
        from curator_dagster.cli.demo.weather import WeatherTour

        return WeatherTour(folder, days)
    if domain == "mesh":
        from curator_dagster.cli.demo.pipes import PipesTour

        return PipesTour(folder, cases)
    from curator_dagster.cli.demo.molecules import MoleculesTour

    return MoleculesTour(folder, variants)
