"""CSV files: their dialect, the exact types of their columns, and the source."""
