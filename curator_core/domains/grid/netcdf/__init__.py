"""NetCDF files: which variables belong together, and their values as they are meant."""
