"""A local page over all that bon-eval wrote below a directory: found, read cheaply, served to its owner alone."""
