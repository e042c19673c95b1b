"""The commands of `curator`, one a module."""
