"""Matplotlib figures as SVG that takes its colours and its text from the page around it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from curator_core.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins that are unlikely to be anything else: each becomes a colour of the page's style sheet.
INK, OK, BAD, FAINT = "#010101", "#010102", "#010103", "#010104"
_CSS = {INK: "var(--ink)", OK: "var(--ok)", BAD: "var(--bad)", FAINT: "var(--faint)"}

WIDTH_IN = 9.2
"""Width of a figure that fills the page, inches."""

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's colours
    "svg.hashsalt": "curator",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.constrained_layout.use": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib with the report's style.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as exc:
        raise MissingDependencyError.of("matplotlib", "report", "A report") from exc
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # not the user's own style
        mpl.rcParams.update(_STYLE)
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the browser has it
        yield


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes."""
    from matplotlib.figure import Figure  # not pyplot: no state, no display

    figure = Figure(figsize=(width_in, height_in))
    return figure, figure.add_subplot()


def svg(figure: Figure, label: str) -> str:
    """The figure as an SVG element with a description for those who cannot see it."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # ids must be unique in a page
    text = re.sub(r"#01010[1-4]", lambda found: _CSS[found[0]], text)
    text = re.sub(r"font: ([\d.]+)px[^;\"]*", r"font: \1px var(--font)", text)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    size = f'style="max-width: {1.3333 * float(width):.0f}px" role="img" aria-label="{label}"'
    return re.sub(rf'(<svg[^>]*?)\s+width="{width}pt"|\s+height="{height}pt"', rf"\1 {size}", text, count=1)
