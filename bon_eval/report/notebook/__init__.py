"""Runs as Python values: sampled, read, compared, shown in a notebook, as data frames, drawn."""
