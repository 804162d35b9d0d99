"""ZClip: mean, deviation and threshold as in the paper, in digits enough to be exact."""

import json
import math

import mpmath
import numpy as np
import pytest
from buffers import unchanged

import gradclip
from gradclip.thresholds import ZClip

ALPHA, Z_THRESH, WARMUP_STEPS = 0.97, 2.5, 25


class Paper:
    """Kumar et al. 2025, algorithm 1, in 60 digits."""

    def __init__(self, alpha=ALPHA, z_thresh=Z_THRESH, warmup_steps=WARMUP_STEPS):
        self.alpha, self.z_thresh = mpmath.mpf(alpha), mpmath.mpf(z_thresh)
        self.warmup_steps, self.norms = warmup_steps, []

    def __call__(self, norm):
        norm = mpmath.mpf(norm)
        if len(self.norms) < self.warmup_steps:
            self.norms.append(norm)
            self.mean = sum(self.norms) / len(self.norms)
            self.variance = sum((n - self.mean) ** 2 for n in self.norms) / len(self.norms)
            return mpmath.inf
        deviation = mpmath.sqrt(self.variance)
        z = (norm - self.mean) / deviation
        threshold = mpmath.inf
        if z > self.z_thresh:
            threshold = self.mean + self.z_thresh * deviation / (z / self.z_thresh)
        clipped = min(norm, threshold)
        self.mean = self.alpha * self.mean + (1 - self.alpha) * clipped
        self.variance = self.alpha * self.variance + (1 - self.alpha) * (clipped - self.mean) ** 2
        return threshold


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(60):
        yield


def norms_of(rng, steps=400):
    """Norms that wander, with a spike in every twelfth step or so."""
    norms = np.exp(np.cumsum(rng.normal(scale=0.02, size=steps)) + rng.normal(0, 0.1, size=steps))
    return (norms * np.where(rng.random(steps) < 0.08, rng.uniform(1, 30, size=steps), 1)).tolist()


SETTINGS = [{}, {"alpha": 0.8, "z_thresh": 1.5}, {"alpha": 0.9, "warmup_steps": 2}]
SETTINGS += [{"alpha": 0.999, "z_thresh": 4, "warmup_steps": 100}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("scale", [1.0, 2.0**-1000, 2.0**1000])
def test_thresholds_are_the_papers_at_any_scale(settings, scale, rng, record_property):
    ours, papers = ZClip(**settings), Paper(**settings)
    norms = norms_of(rng)
    spikes = 0
    for norm in norms:
        threshold, exact = ours(norm * scale) / scale, papers(norm)
        assert math.isinf(threshold) == mpmath.isinf(exact)
        if math.isfinite(threshold):
            spikes += 1
            assert abs(threshold - exact) <= 1e-11 * exact
            assert 0 <= threshold < norm
        if ours.std:
            assert abs(ours.mean / scale - papers.mean) <= 1e-12 * papers.mean
            assert abs((ours.std / scale) ** 2 - papers.variance) <= 1e-10 * papers.variance
    assert spikes > 5
    record_property("cases", len(norms))


def test_nothing_is_clipped_in_the_warm_up_and_its_norms_are_the_statistics():
    threshold = ZClip(warmup_steps=4)
    assert [threshold(norm) for norm in (1.0, 3.0, 5.0, 7.0)] == [math.inf] * 4
    assert (threshold.mean, threshold.std) == (4.0, math.sqrt(5.0))


def test_a_larger_spike_gets_a_lower_threshold():
    def after_the_warm_up(norm):
        threshold = ZClip(warmup_steps=2)
        threshold(1.0), threshold(3.0)
        return threshold(norm)

    assert after_the_warm_up(2 + 2.5) == math.inf
    assert after_the_warm_up(2 + 5.0) == 2 + 2.5 / 2
    assert after_the_warm_up(2 + 25.0) == 2 + 2.5 / 10
    assert after_the_warm_up(1.7e308) == 2.0


@pytest.mark.parametrize("norm", [0.0, 5e-324, 0.1, 1.0, 1.7e308])
def test_constant_norms_say_nothing_about_spikes(norm):
    threshold = ZClip()
    assert [threshold(norm) for _ in range(100)] == [math.inf] * 100
    assert threshold(norm / 2 + 1) == math.inf
    assert threshold.std > 0


def test_rounding_is_no_deviation():
    threshold = ZClip()
    for step in range(100):
        assert threshold(float(np.float32(0.1)) * (1 + 2.0**-24 * (step % 2))) == math.inf
    assert threshold(0.2) == math.inf


def test_a_run_that_starts_with_zeros_is_not_held_at_zero():
    threshold = ZClip()
    thresholds = [threshold(norm) for norm in [0.0] * 50 + [1.0] * 200]
    assert thresholds[:51] == [math.inf] * 51
    assert threshold.mean > 0.9


def test_norms_that_rise_for_good_pass_in_the_end(rng):
    threshold = ZClip()
    low, high = (rng.normal(mean, 0.1, size=1500).tolist() for mean in (1.0, 5.0))
    assert sum(map(math.isfinite, map(threshold, low))) < 100
    thresholds = [threshold(norm) for norm in high]
    assert thresholds[0] < 1.2
    assert abs(threshold.mean - 5) < 0.2


@pytest.mark.parametrize("steps", [0, 1, 24, 25, 26, 200])
def test_a_run_that_is_resumed_goes_on_alike(steps, rng):
    norms = norms_of(rng)
    threshold, resumed = ZClip(0.9, 2.0), ZClip()
    for norm in norms[:steps]:
        threshold(norm)
    state = threshold.state_dict()
    resumed.load_state_dict(json.loads(json.dumps(state)))
    assert resumed.state_dict() == state
    assert repr(resumed) == repr(threshold) == "ZClip(alpha=0.9, z_thresh=2.0, warmup_steps=25)"
    assert [resumed(n) for n in norms[steps:]] == [threshold(n) for n in norms[steps:]]
    assert resumed.state_dict() == threshold.state_dict() != state


def test_it_is_a_max_norm(dtype):
    threshold = ZClip(warmup_steps=2)
    grads = [np.ones(1, dtype), np.full(1, 3, dtype), np.full(1, 4, dtype), np.full(1, 12, dtype)]
    with unchanged(*grads[:3]):
        for grad in grads[:3]:
            gradclip.clip_by_global_norm_(grad, threshold)
    mean, std = threshold.mean, threshold.std
    gradclip.clip_by_global_norm_(grads[3], threshold)
    expected = mean + (2.5 * std) ** 2 / (12 - mean)
    assert expected * (1 - 4 * np.finfo(dtype).eps) <= float(grads[3][0]) <= expected * (1 + 1e-15)


@pytest.mark.parametrize("norm", [math.nan, math.inf, -1.0])
def test_a_norm_that_is_none_is_refused_and_not_counted(norm):
    threshold = ZClip()
    with pytest.raises(ValueError, match="at least 0 and finite"):
        threshold(norm)
    assert threshold.state_dict()["warmup_norms"] == []


REFUSED = [
    ({"alpha": 0.0}, ValueError, "alpha must be above 0 and below 1, not 0.0"),
    ({"alpha": 1}, ValueError, "alpha must be above 0 and below 1"),
    ({"alpha": None}, TypeError, "alpha must be a number above 0 and below 1, not None"),
    ({"z_thresh": 0}, ValueError, "z_thresh must be above 0 and finite"),
    ({"z_thresh": math.inf}, ValueError, "z_thresh must be above 0 and finite"),
    ({"warmup_steps": 0}, ValueError, "warmup_steps must be at least 1"),
    ({"warmup_steps": 25.0}, TypeError, "warmup_steps must be an integer"),
    ({"warmup_norms": [1.0] * 26}, ValueError, "warmup_norms must hold at most 25"),
    ({"mean": -1.0}, ValueError, "mean must be at least 0 and finite"),
    ({"std": math.nan}, ValueError, "std must be at least 0 and finite"),
    ({"variance": 1.0}, ValueError, "the state must have the keys"),
]


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_makes_no_sense_is_refused_and_changes_nothing(change, error, message):
    if change.keys() <= {"alpha", "z_thresh", "warmup_steps"}:
        with pytest.raises(error, match=message):
            ZClip(**change)
    threshold = ZClip()
    threshold(3.0)
    before = threshold.state_dict()
    with pytest.raises(error, match=message):
        threshold.load_state_dict(before | change)
    assert threshold.state_dict() == before
