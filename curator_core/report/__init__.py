"""A run as one self-contained HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.report.availability_plot import draw_availability as draw_availability
    from curator_core.report.dataset_plot import MAX_ITEMS as MAX_ITEMS
    from curator_core.report.dataset_plot import ItemSeries as ItemSeries
    from curator_core.report.dataset_plot import draw_dataset as draw_dataset
    from curator_core.report.fields_plot import draw_fields as draw_fields
    from curator_core.report.page import write_report as write_report

_HOME = {
    "ItemSeries": "curator_core.report.dataset_plot",
    "MAX_ITEMS": "curator_core.report.dataset_plot",
    "draw_availability": "curator_core.report.availability_plot",
    "draw_dataset": "curator_core.report.dataset_plot",
    "draw_fields": "curator_core.report.fields_plot",
    "write_report": "curator_core.report.page",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)
