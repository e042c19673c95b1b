"""Filters for what grids alone have: names of quantities, accumulations."""
