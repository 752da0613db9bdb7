"""Figures of a stored run for a paper."""
