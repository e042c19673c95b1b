"""Datasets in which every item has one slot, named by its key."""
