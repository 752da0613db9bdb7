"""The heat map of many runs: model by task."""
