"""Filters that add fields: computed of others, of places, of times."""
