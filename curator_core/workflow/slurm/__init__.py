"""Workflows as jobs of SLURM."""
