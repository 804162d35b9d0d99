"""What the processes of test_processes.py do; a module of its own, so that they can import it."""

import numpy as np
from buffers import digest
from dtypes import ALL, normals

import gradclip


def sample():
    """Return gradients that are long enough for several threads."""
    rng = np.random.default_rng(11)
    return [normals(rng, 300_001, dtype) for dtype in ALL]


def norm_and_digest(threads):
    """Return the norm of the sample and a digest of the clipped sample."""
    grads = sample()
    with gradclip.threads(threads):
        norm = gradclip.clip_by_global_norm_(grads, 0.5)
    return norm, digest(*grads)
