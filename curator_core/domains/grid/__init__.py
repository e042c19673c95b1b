"""Grids: fields of weather, climate and oceans on regular and other grids.

Everything here needs the extra ``grid``; a name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.errors import MissingDependencyError
from curator_core.moved import names_in

try:
    import xarray  # noqa: F401 - every module below needs it
except ImportError as exc:
    raise MissingDependencyError.of("xarray", "grid", "curator_core.domains.grid") from exc

if TYPE_CHECKING:
    from curator_core.domains.grid.sources import NetCDFSource

__all__ = ["NetCDFSource"]

_MODULES = {
    "NetCDFSource": "curator_core.domains.grid.sources",
}
__getattr__ = names_in(__name__, _MODULES)
