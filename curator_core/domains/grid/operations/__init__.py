"""Filters that change grids: their extent, their points, their times."""
