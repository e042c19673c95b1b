"""Tables of Delta Lake: Parquet files, and a log that says which of them a version has."""
