"""The section of a report on what of a dataset is there."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from curator_core.datasets.aligned.availability import availability_at
from curator_core.errors import ComponentError, MissingDependencyError
from curator_core.reading.opening import open_dataset
from curator_core.report.availability_plot import draw_availability
from curator_core.report.fields_plot import draw_fields
from curator_core.report.html import Html, joined, table, tag
from curator_core.report.quantities import shortened
from curator_core.storage.places import url_scheme
from curator_core.store import RunRecord

MAX_ROWS = 200
"""Variables listed."""
_UNDECODABLE = (ValueError, RuntimeError, OSError)
"""What Zarr raises at a chunk that is damaged."""


def availability(run: RunRecord, dataset: str | None) -> Html:
    """A picture and a table of the slots by state; empty where the run has no such dataset.

    Raises
    ------
    ComponentError
        The dataset that was named is none of slots.
    """
    place = dataset if dataset is not None else recorded_place(run)
    if place is None:
        return Html("")
    try:
        found = availability_at(place)
    except ComponentError as exc:
        if dataset is not None:
            raise
        return joined([_title(), tag("p", f"The dataset {place} cannot be read: {exc}", class_="note")])
    if found is None:
        drawn = _meshes(place)
        if drawn is not None:
            return drawn
        if dataset is not None:
            raise ComponentError(f"There is no dataset of slots at {dataset}.", file=dataset)
        return Html("")
    columns = (("variable", "key"), *((state.replace("_", " "), "n") for state in found.states), ("values", "n"))
    rows = [
        [
            shortened(str(row["variable"]), 60),
            *(f"{row[state]:,}" for state in found.states),
            f"{row['values_percent']} %",
        ]
        for row in found.totals()[:MAX_ROWS]
    ]
    more = f" The first {MAX_ROWS} of {len(found.variables)} variables are listed." * (len(found.variables) > MAX_ROWS)
    text = f"{int(found.n_slots.sum()):,} steps of {found.dim}, of the dataset {place} as it is now.{more}"
    there = _picture("What of the variables is there", draw_availability(found))
    return joined([_title(), there, table(columns, rows), tag("p", text, class_="note"), _fields(place, found.dim)])


def _fields(place: str, dim: str) -> Html:
    """Maps of the last step and means over the steps, of a dataset of grids."""
    try:
        dataset = open_dataset(place)
        drawn = draw_fields(dataset, dim) if hasattr(dataset, "data_vars") else None
    except (ComponentError, *_UNDECODABLE) as exc:
        picture = _not_drawn(exc)
    else:
        if drawn is None:
            return Html("")
        picture = _picture("Maps of the last step, and means over time", drawn)
    return joined([tag("h2", "What it looks like"), picture])


def _meshes(place: str) -> Html | None:
    """Surfaces of a dataset of meshes; ``None`` where it is none."""
    try:
        dataset = open_dataset(place)
    except (ComponentError, MissingDependencyError):
        return None
    if type(dataset).__name__ != "MeshDataset":
        return None
    from curator_core.report.mesh_plot import draw_meshes  # noqa: PLC0415 - needs an extra, as the dataset does

    try:
        drawn = draw_meshes(dataset)
    except ComponentError as exc:
        picture = _not_drawn(exc)
    else:
        picture = Html("") if drawn is None else _picture("Surfaces of some meshes", drawn)
    text = f"{len(dataset):,} meshes of the dataset {place} as it is now."
    return joined([tag("h2", "What it looks like"), picture, tag("p", text, class_="note")])


def _not_drawn(error: Exception) -> Html:
    text = f"It cannot be drawn: {str(error).rstrip('.')}. `curator verify` says which items are damaged."
    return tag("p", text, class_="note")


def _picture(label: str, png: bytes) -> Html:
    image = base64.b64encode(png).decode()
    return tag("figure", Html(f'<img alt="{label}" style="max-width: 100%" src="data:image/png;base64,{image}">'))


def _title() -> Html:
    return tag("h2", "What is there")


def recorded_place(run: RunRecord) -> str | None:
    """The local dataset that the run's sink writes, where that is recorded."""
    try:
        given = json.loads(run.config_json)["sink"]["params"]["output_path"]
    except (LookupError, RecursionError, TypeError, ValueError):
        return None
    if not isinstance(given, str) or "\0" in given or url_scheme(given):
        return None
    if run.run_dir is None and not Path(given).is_absolute():  # one of that name here may be another one
        return None
    path = Path(run.run_dir or "/") / given
    return str(path) if path.is_dir() else None
