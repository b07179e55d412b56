"""Random choices from a seed and words that say what is chosen; no global random state is read or disturbed."""

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np


def digest(*words: object) -> str:
    """Hash some words by SHA-256 (hex); two different lists of words never give the same hash.

    Args:
        *words: what is chosen, e.g. a seed, a domain and a passage id.
    """
    return hashlib.sha256("\x1f".join(str(word) for word in words).encode()).hexdigest()


def generator(*words: object) -> np.random.Generator:
    """Make a generator for one purpose: the same words, the same stream, whatever else was drawn before.

    Example:
        >>> int(generator(0, "law").integers(100)) == int(generator(0, "law").integers(100))
        True
    """
    return np.random.default_rng(int(digest(*words), 16))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS and OpenMP on one thread meanwhile: sums in a fixed order, hence the same bytes on every run."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        yield
