"""What `curator workflow` is made of."""
