"""What runs where items are processed."""
