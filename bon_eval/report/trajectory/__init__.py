"""The report of a training: a row of measures for each checkpoint."""
