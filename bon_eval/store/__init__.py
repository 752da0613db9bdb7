"""A run on disk: written once, read by everything that follows."""
