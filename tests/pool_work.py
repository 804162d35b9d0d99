"""A clip that several threads share, cheap enough for hundreds of rounds, and its right result."""

import numpy as np
from buffers import digest

import gradclip


def sample():
    """Return 3.6 MB of gradients: enough for nine threads, and to wake those that are parked."""
    pattern = np.arange(300_001) % 1001 - 500.0
    return [pattern.astype(np.float32), pattern]


def outcome(threads):
    """Return the norm of the sample and a digest of the clipped sample."""
    grads = sample()
    with gradclip.threads(threads):
        norm = gradclip.clip_by_global_norm_(grads, 0.5)
    return norm, digest(*grads)


EXPECTED = outcome(1)


def works(threads=3):
    """Tell whether a clip on so many threads is right to the bit."""
    return outcome(threads) == EXPECTED


def clips(grads=None):
    """Tell whether a clip on as many threads as are set is right to the bit."""
    grads = sample() if grads is None else grads
    norm = gradclip.clip_by_global_norm_(grads, 0.5)
    return (norm, digest(*grads)) == EXPECTED
