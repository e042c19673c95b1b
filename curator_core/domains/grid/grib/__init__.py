"""GRIB files: messages, what each of them holds, and the datasets that they make together."""
