"""Published datasets: what is in them, their versions, and segments that are written once and linked from then on."""
