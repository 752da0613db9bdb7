"""Arrays of a stored run in, findings out: arms, intervals and tests, explanations, two runs compared."""
