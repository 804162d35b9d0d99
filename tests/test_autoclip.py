"""AutoClip: the percentile of all norms so far, against NumPy's over the whole history."""

import json
import math
import pickle

import numpy as np
import pytest
from buffers import unchanged

import gradclip
from gradclip.thresholds import AutoClip

HISTORIES = {
    "any": lambda rng: rng.lognormal(sigma=3, size=60),
    "equal": lambda rng: np.full(60, 0.1),
    "few values": lambda rng: rng.integers(0, 4, size=60).astype(float),
    "zeros": lambda rng: np.zeros(60),
    "falling": lambda rng: np.linspace(1e308, 0.0, 60),
    "rising": lambda rng: np.geomspace(5e-324, 1.7e308, 60),
}
PERCENTILES = [0, 10, 25, 37.3, 50, 99.9, 100]
WINDOWS = [None, 1, 2, 7, 60, 1000]


@pytest.fixture(params=HISTORIES)
def norms(request, rng):
    return HISTORIES[request.param](rng).tolist()


def restored(state):
    threshold = AutoClip()
    threshold.load_state_dict(state)
    return threshold


@pytest.mark.parametrize("window", WINDOWS)
def test_it_is_numpys_percentile_bit_for_bit(norms, window, record_property):
    record_property("cases", len(PERCENTILES) * len(norms))
    for percentile in PERCENTILES:
        threshold = AutoClip(percentile, window)
        for step, norm in enumerate(norms, start=1):
            first = 0 if window is None else max(0, step - window)
            assert threshold(norm) == np.percentile(norms[first:step], percentile)


def test_what_it_keeps_is_the_window(rng):
    threshold = AutoClip(window=5)
    norms = rng.lognormal(size=1000).tolist()
    for norm in norms:
        threshold(norm)
        assert len(threshold._ranked) <= 5
    assert threshold.state_dict()["norms"] == norms[-5:]


@pytest.mark.parametrize("window", [None, 1, 7])
@pytest.mark.parametrize(
    "carry", [lambda state: json.loads(json.dumps(state)), lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_run_that_is_resumed_goes_on_alike(norms, window, carry):
    threshold = AutoClip(30, window)
    for step, norm in enumerate(norms):
        state = threshold.state_dict()
        again = restored(carry(state))
        assert again.state_dict() == state
        assert repr(again) == repr(threshold)
        threshold(norm)
        if step % 10 == 0:
            rest = AutoClip(30, window)
            for before in norms[: step + 1]:
                rest(before)
            again(norm)
            assert [again(n) for n in norms] == [rest(n) for n in norms]


def test_a_state_shares_nothing_with_its_threshold():
    threshold = AutoClip()
    threshold(1.0)
    state = threshold.state_dict()
    again = restored(state)
    state["norms"].append(2.0)
    assert threshold.state_dict()["norms"] == again.state_dict()["norms"] == [1.0]


class TestInACall:
    @pytest.fixture
    def grads(self, dtype, rng):
        return [rng.standard_normal(size).astype(dtype) for size in (3, 700)]

    @pytest.mark.parametrize("call", ["in place", "into new arrays", "a step"])
    def test_it_is_a_max_norm(self, call, grads):
        threshold = AutoClip()
        threshold(0.5)
        clip = {
            "in place": lambda: gradclip.clip_by_global_norm_(grads, threshold),
            "into new arrays": lambda: gradclip.clip_by_global_norm(grads, threshold)[1],
            "a step": lambda: gradclip.sgd_step_(
                [np.zeros_like(grad) for grad in grads], grads, 0.1, max_norm=threshold
            ),
        }[call]
        norm = clip()
        assert threshold.state_dict()["norms"] == [0.5, norm]

    def test_a_first_step_is_not_clipped(self, grads):
        with unchanged(*grads):
            gradclip.clip_by_global_norm_(grads, AutoClip())

    @pytest.mark.parametrize("nonfinite", ["skip", "zero", "propagate"])
    def test_norms_that_are_not_finite_are_not_kept(self, nonfinite):
        threshold = AutoClip()
        gradclip.clip_by_global_norm_(np.array([math.nan]), threshold, nonfinite=nonfinite)
        assert threshold.state_dict()["norms"] == []


@pytest.mark.parametrize("norm", [math.nan, math.inf, -1.0])
def test_a_norm_that_is_none_is_refused_and_not_kept(norm):
    threshold = AutoClip()
    threshold(1.0)
    with pytest.raises(ValueError, match="at least 0 and finite"):
        threshold(norm)
    assert threshold.state_dict()["norms"] == [1.0]


REFUSED = [
    ({"percentile": -0.1}, ValueError, "percentile must be from 0 to 100, not -0.1"),
    ({"percentile": 100.1}, ValueError, "percentile must be from 0 to 100"),
    ({"percentile": math.nan}, ValueError, "percentile must be from 0 to 100"),
    ({"percentile": "10"}, TypeError, "percentile must be a number from 0 to 100, not '10'"),
    ({"percentile": True}, TypeError, "percentile must be a number"),
    ({"window": 0}, ValueError, "window must be at least 1"),
    ({"window": -3}, ValueError, "window must be at least 1"),
    ({"window": 2.5}, TypeError, "window must be an integer, at least 1, not 2.5"),
    ({"norms": (1.0,)}, TypeError, "norms must be a list of numbers"),
    ({"norms": [1.0, -1.0]}, ValueError, r"norms\[1\] must be at least 0 and finite, not -1.0"),
    ({"norms": [math.nan]}, ValueError, r"norms\[0\] must be"),
    ({"norms": ["1"]}, TypeError, r"norms\[0\] must be a number"),
    ({"window": 1, "norms": [1.0, 2.0]}, ValueError, "norms must hold at most 1 numbers, not 2"),
    ({"windows": 3}, ValueError, "the state must have the keys .'percentile', 'window', 'norms'."),
]


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_makes_no_sense_is_refused_and_changes_nothing(change, error, message):
    if not {"norms", "windows"} & change.keys():
        with pytest.raises(error, match=message):
            AutoClip(**change)
    threshold = AutoClip(20, window=4)
    threshold(3.0)
    before = threshold.state_dict()
    with pytest.raises(error, match=message):
        threshold.load_state_dict(before | change)
    assert threshold.state_dict() == before


@pytest.mark.parametrize("state", [{}, {"norms": []}])
def test_a_state_without_a_key_is_refused(state):
    with pytest.raises(ValueError, match="must have the keys"):
        AutoClip().load_state_dict(state)


def test_a_state_that_is_no_dict_is_refused():
    with pytest.raises(TypeError, match="the state must be a dict"):
        AutoClip().load_state_dict([10.0, None, []])
