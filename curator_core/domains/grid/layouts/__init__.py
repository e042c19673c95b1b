"""Layouts of forecasts and ensembles: which of their dimensions have slots."""
