"""Work with a model on runs that were imported."""
