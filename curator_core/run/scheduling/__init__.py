"""Which worker processes what, and what happens when one dies."""
