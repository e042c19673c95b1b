"""Filters that look at meshes, and record what they find: statistics by area, checks."""
