"""Experiments in files that many processes share."""
