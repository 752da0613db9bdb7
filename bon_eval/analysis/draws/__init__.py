"""Draws besides greedy and the pool: what each is worth by every way to answer from it, paired with every other arm."""
