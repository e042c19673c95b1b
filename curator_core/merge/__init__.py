"""What is put together: shards and their archive."""
