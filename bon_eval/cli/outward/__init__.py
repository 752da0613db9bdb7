"""Commands that take a stored run to other places: into a paper, a browser, another service."""
