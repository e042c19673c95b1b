"""Filters that belong to no domain; import them from their modules."""
