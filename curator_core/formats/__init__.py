"""Formats of files that several domains share."""
