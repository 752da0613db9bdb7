"""How well likelihood goes with correctness, across pairs of responses and across ways to decode."""
