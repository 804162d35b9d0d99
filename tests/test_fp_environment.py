"""Right results in any floating-point environment, and an environment left as it was."""

import warnings

import fp_environment
import numpy as np
import pytest
from buffers import digest
from dtypes import BFLOAT16
from subprocesses import output_of

import gradclip

needs_control = pytest.mark.skipif(
    not fp_environment.SUPPORTED, reason="needs glibc on x86-64 or aarch64"
)

MODES = [
    {"rounding": rounding, "flush": flush}
    for rounding in fp_environment.ROUNDING
    for flush in (False, True)
]


def make_subnormal():
    return [
        np.full(1000, 5e-324),
        np.full(33, 1e-310),
        np.full(1000, 1e-45, np.float32),
        np.array([-3e-41, 1e-38, 7e-40], np.float32),
    ]


def make_normal():
    rng = np.random.default_rng(3)
    return [rng.standard_normal(40_000), rng.standard_normal(40_001, dtype=np.float32)]


def make_extreme():
    return [np.array([1e308, 1e-308, -3e307, 5e-324]), np.full(77, -3e38, np.float32)]


def make_narrow():
    rng = np.random.default_rng(6)
    halves = np.ldexp(rng.standard_normal(5001), rng.integers(-26, 14, 5001))
    with np.errstate(under="ignore"):
        return [halves.astype("f2"), np.ldexp(halves, -120).astype(BFLOAT16)]


def make_complex():
    return [np.array([5e-324 - 1e-310j, 1e-300j]), np.full(77, 1e-45 + 3e38j, np.complex64)]


def make_long():
    rng = np.random.default_rng(4)
    values = np.ldexp(rng.uniform(1, 2, 300_000), rng.integers(-140, -120, 300_000))
    return [values.astype(np.float32), np.ldexp(values, -900)]


def prepared(make):
    """Return calls on fresh gradients that do no other arithmetic, and these gradients."""
    grads = [make() for _ in range(4)]
    short = [array[:5000] for array in grads[0]]  # a power takes 10 ns
    params, units, adaptive, values = ([array.copy() for array in short] for _ in range(4))
    batch = np.stack([short[0], short[0][::-1]])
    tiny = gradclip.global_norm(grads[0]) / 3
    real, low = grads[0][0].dtype.kind == "f", -0.7 * tiny

    def run():
        results = [
            gradclip.global_norm(grads[0]),
            gradclip.array_norms(grads[0]),
            *(gradclip.global_norm(short, ord=order) for order in (1, 3, 0.7, np.inf)),
            gradclip.clip_by_global_norm_(grads[1], tiny),
            gradclip.clip_by_global_norm_(grads[2], tiny, inv_scale=0.7, eps=1e-30),
            gradclip.scale_(grads[3], 0.7) is None,
            *gradclip.grad_stats(short)[:6],
            *gradclip.clip_by_norm_(units, tiny, axis=0),
            gradclip.adaptive_grad_clip_(adaptive, params, 0.3, eps=1e-320),
            *gradclip.clip_per_example_sum(batch, tiny),
        ]
        if real:
            results += [
                gradclip.clip_by_value_(values, low, 1e-320),
                gradclip.clip_by_value_(values, -1e-320, 1.0),
                gradclip.sgd_step_(params, short, 0.7, max_norm=tiny, weight_decay=1e-9),
            ]
        return results

    return run, [*grads, params, units, adaptive, values]


def bits(results, grads):
    return digest(*map(np.asarray, results)), digest(*(array for group in grads for array in group))


@needs_control
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "make", [make_subnormal, make_normal, make_extreme, make_narrow, make_complex, make_long]
)
def test_results_do_not_depend_on_the_environment(make, threads):
    with gradclip.threads(threads):
        run, grads = prepared(make)
        expected = bits(run(), grads)
        for mode in MODES:
            run, grads = prepared(make)
            with fp_environment.changed(**mode):
                results = run()
            assert bits(results, grads) == expected, mode


@needs_control
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(
    "make", [make_subnormal, make_extreme, make_normal, make_narrow, make_complex]
)
def test_the_environment_is_left_as_it_was_flags_included(make, mode):
    run, _ = prepared(make)
    with fp_environment.changed(**mode):
        before = fp_environment.control_word()
        run()
        after = fp_environment.control_word()
    assert hex(after) == hex(before)


@needs_control
def test_the_environment_is_left_as_it_was_by_an_error():
    grads = [np.full(4, 1e308), np.array([5e-324, np.nan])]
    with fp_environment.changed(flush=True, rounding="up"):
        before = fp_environment.control_word()
        with pytest.raises(gradclip.NonFiniteNormError):
            gradclip.clip_by_global_norm_(grads, 1.0)
        after = fp_environment.control_word()
    assert hex(after) == hex(before)


@needs_control
def test_a_callable_runs_in_the_callers_environment():
    words = []

    def threshold(norm):
        words.append(fp_environment.control_word())
        return 1e-310

    for mode in MODES:
        grads = make_subnormal()
        with fp_environment.changed(**mode):
            words.append(fp_environment.control_word())
            gradclip.clip_by_global_norm_(grads, threshold)
        asked, inside = words[-2:]
        assert hex(inside) == hex(asked), mode


@needs_control
def test_workers_started_by_a_thread_that_flushes_do_not_flush():
    code = f"""
    import sys
    sys.path.insert(0, {fp_environment.__file__.rpartition("/")[0]!r})
    import fp_environment, gradclip
    from test_fp_environment import make_long
    grads = make_long()
    with fp_environment.changed(flush=True), gradclip.threads(4):
        flushed = [gradclip.global_norm(grads) for _ in range(20)]
    with gradclip.threads(1):
        print(set(flushed) == {{gradclip.global_norm(grads)}})
    """
    assert output_of(code) == "True"


@pytest.mark.skipif(not fp_environment.TRAPS_ARE_MASK_BITS, reason="needs x86-64 trap masks")
def test_unmasked_exceptions_do_not_kill_the_process():
    code = f"""
    import sys
    sys.path.insert(0, {fp_environment.__file__.rpartition("/")[0]!r})
    import fp_environment, gradclip
    import numpy as np
    from test_fp_environment import make_complex, make_extreme, make_narrow, make_subnormal
    from test_fp_environment import prepared
    makes = make_extreme, make_subnormal, make_narrow, make_complex
    calls = [prepared(make)[0] for make in makes]
    bad = np.array([np.inf, np.nan, 1.0])
    with fp_environment.changed(traps=True):
        for run in calls:
            run()
        gradclip.global_norm(bad)
        gradclip.clip_by_global_norm_(bad, 1.0, nonfinite="propagate")
    print("alive")
    """
    assert output_of(code) == "alive"


@pytest.mark.usefixtures("isa")
def test_numpy_sees_no_floating_point_errors():
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in (make_subnormal, make_normal, make_extreme, make_narrow, make_complex):
            run, grads = prepared(make)
            run()
            gradclip.clip_by_global_norm(grads[0], 1e-320)
            np.add(1.0, 1.0)
        bad = np.array([np.inf, np.nan, -np.inf])
        gradclip.array_norms(bad)
        gradclip.clip_by_global_norm_(bad, 1.0, nonfinite="propagate")
        np.add(1.0, 1.0)
