"""The caller's floating-point environment across callables, their exceptions and refused calls."""

import functools
import itertools
import math

import fp_environment
import numpy as np
import pytest
from buffers import digest
from test_fp_environment import MODES, make_long, make_subnormal, needs_control

import gradclip

pytestmark = needs_control

CLIPS = [gradclip.clip_by_global_norm_, gradclip.clip_by_global_norm]


def read_only():
    array = np.ones(3)
    array.flags.writeable = False
    return array


def words_around(call, mode, expected=None):
    """Return the control word and flags before and after a call that raises what is expected."""
    raised = None
    with fp_environment.changed(**mode):
        before = fp_environment.control_word()
        try:
            call()
        except BaseException as error:
            raised = error
        after = fp_environment.control_word()
    assert type(raised) is (expected or type(None)), raised
    return hex(before), hex(after)


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("make", [make_subnormal, make_long])
def test_a_callable_that_does_nothing_leaves_no_trace(make, clip):
    answers = itertools.cycle([1e-310, 0.0, math.inf, 5e-324, 1e-3])
    for mode, answer in zip(MODES, answers, strict=False):
        grads = make()
        with gradclip.threads(3):
            call = functools.partial(clip, grads, lambda norm, answer=answer: answer)
            before, after = words_around(call, mode)
        assert after == before, mode


@pytest.mark.parametrize("clip", CLIPS)
def test_an_exception_of_a_callable_leaves_no_trace(clip):
    def fail(norm):
        raise raised

    for raised in (RuntimeError("no"), KeyboardInterrupt(), StopIteration()):
        for mode in MODES:
            call = functools.partial(clip, make_subnormal(), fail)
            before, after = words_around(call, mode, type(raised))
            assert after == before, mode


@pytest.mark.parametrize("answer", [-1.0, math.nan, "1", None, 1j])
def test_a_refused_answer_of_a_callable_leaves_no_trace(answer):
    expected = ValueError if isinstance(answer, float) else TypeError
    for mode in MODES:
        grads = make_subnormal()
        call = functools.partial(gradclip.clip_by_global_norm_, grads, lambda norm: answer)
        before, after = words_around(call, mode, expected)
        assert after == before, mode


def test_what_a_callable_changes_is_kept():
    """The flags that it raises and the rounding mode that it sets are its caller's."""
    flags, words, quotients = [], [], []

    def threshold(norm):
        flags.append(fp_environment.flags())
        quotients.append(1.0 / norm)  # inexact
        fp_environment.set_rounding("up")
        flags.append(fp_environment.flags())
        words.append(fp_environment.control_word())
        return 1e-310

    for mode in MODES:
        grads = make_subnormal()
        with fp_environment.changed(**mode):
            gradclip.clip_by_global_norm_(grads, threshold)
            after = fp_environment.control_word()
        assert hex(after) == hex(words[-1]), mode
        assert flags[-1] != flags[-2] == 0, mode


SUBNORMAL = 1e-310
ONES = np.ones(9)
QUIET = np.full(3, SUBNORMAL)

SUBNORMAL_ARGUMENTS = {
    "norm": lambda ones: gradclip.clip_by_global_norm_(QUIET, 1.0),
    "max_norm": lambda ones: gradclip.clip_by_global_norm_(ones, SUBNORMAL),
    "order": lambda ones: gradclip.global_norm(ones[:1], ord=SUBNORMAL),
    "eps": lambda ones: gradclip.clip_by_global_norm_(ones, 1.0, eps=SUBNORMAL),
    "inv_scale": lambda ones: gradclip.clip_by_global_norm_(ones, 1.0, inv_scale=SUBNORMAL),
    "factor": lambda ones: gradclip.scale_(ones, SUBNORMAL),
    "total_norm": lambda ones: gradclip.clip_with_norm_(ones, 1.0, SUBNORMAL),
    "both": lambda ones: gradclip.clip_with_norm_(ones, SUBNORMAL, 3e-310),
}


@pytest.mark.parametrize("call", SUBNORMAL_ARGUMENTS.values(), ids=SUBNORMAL_ARGUMENTS)
def test_subnormal_arguments_are_taken_as_they_are_and_leave_no_trace(call):
    expected = np.ones(7)
    call(expected)
    for mode in MODES:
        ones = np.ones(7)
        before, after = words_around(functools.partial(call, ones), mode)
        assert after == before, mode
        assert digest(ones) == digest(expected), mode


REFUSED = {
    "dtype": (TypeError, lambda: gradclip.global_norm([np.ones(3), np.ones(3, int)])),
    "no array": (TypeError, lambda: gradclip.array_norms([1.5])),
    "order": (ValueError, lambda: gradclip.global_norm(np.ones(3), ord=-0.1)),
    "max_norm": (ValueError, lambda: gradclip.clip_by_global_norm_(np.ones(3), -0.1)),
    "eps": (ValueError, lambda: gradclip.clip_by_global_norm_(np.ones(3), 1.0, eps=-1e-310)),
    "inv_scale": (
        ValueError,
        lambda: gradclip.clip_by_global_norm_(np.ones(3, "f4"), 1.0, inv_scale=1e300),
    ),
    "nonfinite": (ValueError, lambda: gradclip.clip_by_global_norm_([], 1.0, nonfinite="x")),
    "read-only": (ValueError, lambda: gradclip.scale_(read_only(), 0.1)),
    "overlap": (ValueError, lambda: gradclip.clip_by_global_norm_([ONES, ONES[1:]], 0.1)),
    "factor": (ValueError, lambda: gradclip.scale_(np.ones(3, "f4"), 1e300)),
    "total_norm": (ValueError, lambda: gradclip.clip_with_norm_(np.ones(3), 1.0, math.nan)),
    "infinite total_norm": (
        gradclip.NonFiniteNormError,
        lambda: gradclip.clip_with_norm_(np.ones(3), 1.0, math.inf),
    ),
    "message": (ValueError, lambda: gradclip.clip_by_global_norm_(ONES, -1e-310)),
    "overflow": (
        gradclip.NonFiniteNormError,
        lambda: gradclip.clip_by_global_norm_(np.full(4, 1e308), 1.0),
    ),
    "nan": (
        gradclip.NonFiniteNormError,
        lambda: gradclip.clip_by_global_norm_([ONES, np.full(4, math.nan, "f2")], 1.0),
    ),
}


@pytest.mark.parametrize(("error", "call"), REFUSED.values(), ids=REFUSED)
def test_a_refused_call_leaves_no_trace(error, call):
    for mode in MODES:
        before, after = words_around(call, mode, error)
        assert after == before, mode


def test_an_error_shows_the_number_as_it_is():
    for mode in MODES:
        with (
            fp_environment.changed(**mode),
            pytest.raises(ValueError, match=r"not -1\.2345678901234e-310"),
        ):
            gradclip.clip_by_global_norm_(ONES, -1.2345678901234e-310)
