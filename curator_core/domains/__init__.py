"""Sources, filters and sinks for the data formats of particular fields."""
