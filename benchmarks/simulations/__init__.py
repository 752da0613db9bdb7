"""Simulations with known truth behind benchmarks/coverage.py: a module for each kind of quantity."""
