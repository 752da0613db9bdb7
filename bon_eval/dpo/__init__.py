"""Preference pairs, training through TRL, and what training does to a model's likelihoods, checkpoint by checkpoint."""
