"""Two stored runs compared on the same problems: what changed, and what follows from it in words."""
