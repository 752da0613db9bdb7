"""Probes: responses beside those of pairs, by which a training is followed."""
