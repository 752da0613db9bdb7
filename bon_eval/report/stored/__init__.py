"""The report of a stored run, whether it has all that a full one needs or is imported and lacks something."""
