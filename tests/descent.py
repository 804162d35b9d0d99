"""A step of SGD in exact arithmetic, and how far from it each computed number may be."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import oracle
from dtypes import compute_dtype, finfo, reals


class Near(NamedTuple):
    """What a number is by the formula, and how far from it what is computed may be."""

    value: Fraction
    error: Fraction = Fraction(0)

    def rounded(self, dtype):
        """Return it rounded to nearest in a dtype."""
        info = finfo(dtype)
        unit = Fraction(float(info.eps)) / 2
        least = Fraction(float(info.smallest_subnormal)) / 2
        return Near(self.value, self.error + unit * (abs(self.value) + self.error) + least)


class Constant:
    """A rate, which is rounded to the dtype that is computed in."""

    def __init__(self, value, dtype):
        self.dtype = dtype
        self.exact = Fraction(value)
        self.used = Fraction(float(dtype.type(value)))

    def times(self, near, more=Near(Fraction(0))):  # noqa: B008
        """Return constant · near + more, rounded once, as an fma is."""
        error = abs(near.value * (self.used - self.exact)) + near.error * abs(self.used)
        exact = near.value * self.exact + more.value
        return Near(exact, error + more.error).rounded(self.dtype)


class Step:
    """What `sgd_step_` does to params with these gradients, all finite."""

    def __init__(self, grads, lr, *, max_norm=None, inv_scale=1.0, no_gradient=False, **options):
        self.lr, self.inv_scale, self.no_gradient = lr, inv_scale, no_gradient
        self.momentum = options.pop("momentum", 0.0)
        self.nesterov = options.pop("nesterov", False)
        self.decay = options.pop("weight_decay", 0.0)
        assert not options
        self.epsilon = max(Fraction(float(finfo(compute_dtype(g.dtype)).eps)) for g in grads)
        norm = Fraction(inv_scale) * Fraction(oracle.floor_sqrt(oracle.square_sum(*grads)))
        self.clips = max_norm is not None and norm > max_norm
        self.factor = Fraction(max_norm) / norm if self.clips else Fraction(1)

    def gradient(self, number, dtype):
        """Return min(1, max_norm / norm) · inv_scale · grad."""
        if self.no_gradient:
            return Near(Fraction(0))
        exact = Fraction(number) * self.factor * Fraction(self.inv_scale)
        if self.clips:  # the factor is short by 4 ε at most; ours by that of the norm; and rounded
            return Near(exact, abs(exact) * (4 * self.epsilon + Fraction(1, 2**51))).rounded(dtype)
        if self.inv_scale == 1:
            return Near(exact)
        return Constant(self.inv_scale, dtype).times(Near(Fraction(number)))

    def numbers(self, grad, param, velocity, dtype):
        """Return the velocity and the parameter after the step, before they are stored."""
        before = Near(Fraction(param))
        change = self.gradient(grad, dtype)
        if self.decay:
            change = Constant(self.decay, dtype).times(before, change)
        speed = None
        if self.momentum:
            momentum = Constant(self.momentum, dtype)
            speed = momentum.times(Near(Fraction(velocity)), change)
            change = momentum.times(speed, change) if self.nesterov else speed
        return speed, Constant(-self.lr, dtype).times(change, before)

    def check(self, grad, before, after):
        """Assert that a param and its velocity (None without momentum) are what they should be."""
        dtype = compute_dtype(grad.dtype)
        columns = [reals(a).tolist() for a in (grad, *before, *after) if a is not None]
        if self.momentum:
            rows = zip(*columns, strict=True)
        else:
            rows = ((g, p, 0.0, q, None) for g, p, q in zip(*columns, strict=True))
        for g, p, v, found, found_speed in rows:
            speed, param = self.numbers(g, p, v, dtype)
            assert_near(found, param.rounded(grad.dtype))
            if self.momentum:
                assert_near(found_speed, speed.rounded(grad.dtype))


def assert_near(found, near):
    assert np.isfinite(found)
    distance = abs(Fraction(found) - near.value)
    assert distance <= near.error, f"{found!r}, not {float(near.value)!r} ± {float(near.error)!r}"
