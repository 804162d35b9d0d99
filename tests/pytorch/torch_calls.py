"""gradclip's own functions, by what they do to tensors: each as a function of the gradients."""

import calls
import numpy as np
from calls import FRESH, IN_PLACE, REAL_IN_PLACE

import gradclip

READING = {name: call for name, call in calls.READING.items() if name not in FRESH} | {
    "array_norms, order 1": lambda grads: gradclip.array_norms(grads, ord=1),
    "global_norm, order inf": lambda grads: gradclip.global_norm(grads, ord=np.inf),
    "array_norms, order 3": lambda grads: gradclip.array_norms(grads, ord=3),
}

TAKING = READING | IN_PLACE

WRITING = {name: call for name, call in IN_PLACE.items() if "loose" not in name} | REAL_IN_PLACE

KEEPING = {name: call for name, call in IN_PLACE.items() if "loose" in name} | {
    "clip_by_norm_, loose": lambda grads: gradclip.clip_by_norm_(grads, 1e300),
}
