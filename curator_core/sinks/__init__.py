"""Sinks that any domain can build on."""
