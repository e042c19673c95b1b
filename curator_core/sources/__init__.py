"""Sources that any domain can build on."""
