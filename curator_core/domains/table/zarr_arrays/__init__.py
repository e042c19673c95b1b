"""Tables as Zarr arrays: what the columns become, and the sink."""
