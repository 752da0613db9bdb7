"""From tokens to the tree of one expression."""
