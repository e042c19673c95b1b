"""Zarr stores that others wrote."""
