"""Pairs of a chosen and a rejected response: files, recipes, pairs out of a stored run."""
