"""Filters that change meshes: their cells, their points, where their data are."""
