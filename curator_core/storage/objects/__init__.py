"""Outputs and inputs in object stores: single objects, and folders as Icechunk repositories."""
