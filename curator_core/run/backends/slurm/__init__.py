"""A run as a job array of SLURM."""

from curator_core.moved import attributes_of

__getattr__ = attributes_of(__name__, "curator_core.run.backends.slurm.backend")
