"""Meshes as groups of one Zarr dataset: written by workers, linked by publications, read part by part."""
