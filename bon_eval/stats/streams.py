"""Random streams by name: each use of randomness has its own, and one does not move another."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial

import numpy as np

Streams = Callable[[str], np.random.Generator]
"""Independent random streams by name."""


def seeded_stream(seed: int, name: str) -> np.random.Generator:
    """The random stream of one use, from the seed and the use's name alone."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def streams(seed: int) -> Streams:
    """The streams of one seed."""
    return partial(seeded_stream, seed)
