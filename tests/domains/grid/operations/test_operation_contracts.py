"""The contracts of filters, on those of grids."""

from __future__ import annotations

from curator_core.domains.grid import CalendarFilter, CropFilter, MaskFilter, RegridFilter, ResampleFilter, ThinFilter
from curator_core.testing import FilterContract
from tests.domains.grid.operations.fields import regular


class OfGrids(FilterContract):
    """Values are grids."""

    def make_items(self, index):
        return [regular(values=None), regular(start=30.0 * index)]

    def is_equal(self, first, second):
        return bool(first.identical(second))


class TestCrop(OfGrids):
    def make_filter(self, tmp_path):
        return CropFilter([-45, 45], [-60, 60])


class TestCalendar(OfGrids):
    def make_filter(self, tmp_path):
        return CalendarFilter("noleap")


class TestThin(OfGrids):
    def make_filter(self, tmp_path):
        return ThinFilter(2, "mean")


class TestMask(OfGrids):
    def make_filter(self, tmp_path):
        regular().drop_vars("time").to_netcdf(tmp_path / "mask.nc")
        return MaskFilter("t", str(tmp_path / "mask.nc"), at_least=30, fields=["t"])


class TestRegrid(OfGrids):
    def make_filter(self, tmp_path):
        return RegridFilter({"step": 45.0}, "conservative")


class TestResample(OfGrids):
    def make_filter(self, tmp_path):
        return ResampleFilter("12h")
