"""The reproduction on the embedded model: what `make squeeze` runs, and its page."""
