"""Runs whose responses another program sampled: what they lack, and what was computed here in its place."""
