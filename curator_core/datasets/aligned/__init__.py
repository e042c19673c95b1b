"""Datasets on axes of their own: every value has a slot, which adding, inserting and correcting moves nowhere."""
