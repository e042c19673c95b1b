"""JSON lines as tables."""
