"""The public calls that take gradients, each as a function of the gradients alone."""

import gradclip

IN_PLACE = {
    "clip_by_global_norm_": lambda grads: gradclip.clip_by_global_norm_(grads, 1e-3),
    "clip_by_global_norm_, loose": lambda grads: gradclip.clip_by_global_norm_(grads, 1e300),
    "clip_with_norm_": lambda grads: gradclip.clip_with_norm_(grads, 1.0, 10.0),
    "clip_with_norm_, loose": lambda grads: gradclip.clip_with_norm_(grads, 10.0, 1.0),
    "scale_": lambda grads: gradclip.scale_(grads, 0.5),
}

READING = {
    "global_norm": gradclip.global_norm,
    "array_norms": gradclip.array_norms,
    "clip_by_global_norm": lambda grads: gradclip.clip_by_global_norm(grads, 1e-3),
}

ALL = IN_PLACE | READING
