"""The page for those who come from physicsnemo-curator names components that there are."""

from __future__ import annotations

import re

from curator_core.pipeline.registry import components
from tests.docs import pages


def test_components_beside_theirs_are_known():
    """Every name in the second column of the tables by name."""
    text = (pages.ROOT / "docs/how-to/from-physicsnemo-curator.md").read_text(encoding="utf-8")
    section = text.partition("## Components by name")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \| (.*) \|$", section, re.MULTILINE)
    theirs = {name for cell, _ in rows for name in re.findall(r"`(\w+(?:Source|Filter|Sink))`", cell)}
    assert len(theirs) > 30
    named = [name for _, cell in rows for name in re.findall(r"`(\w+)`", cell.partition(":")[0])]
    assert len(named) > 20
    assert [name for name in named if name not in components.names()] == []
