"""Small meshes end to end in the arrays of one Zarr dataset."""
