"""Runs as Python values: sampled, read, shown in a notebook, as data frames, drawn."""
