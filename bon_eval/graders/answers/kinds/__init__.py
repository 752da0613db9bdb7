"""Kinds of answers beyond a single value: families of an integer, congruences, numbers without some points."""
