"""sgd_step_ against the formula in exact arithmetic; what is read and what is written."""

import copy
import itertools
import math

import numpy as np
import oracle
import pytest
from buffers import digest, owner, same_bits, unchanged
from descent import Step
from dtypes import ALL, EXACT, normals
from placements import PLACEMENTS, placed

import gradclip

ISAS = gradclip.show_config("dicts")["isa"]["available"]
KINDS = {
    "plain": {},
    "weight decay": {"weight_decay": 0.3},
    "weight decay of one": {"weight_decay": 1.0},
    "momentum": {"momentum": 0.9},
    "momentum and decay": {"momentum": 0.5, "weight_decay": 1e-2},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
    "Nesterov and decay": {"momentum": 0.7, "nesterov": True, "weight_decay": 0.1},
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def lists(rng, shapes, dtypes):
    """Return gradients, parameters and velocities."""
    pairs = list(zip(shapes, dtypes, strict=True))
    return tuple([normals(rng, shape, dtype) for shape, dtype in pairs] for _ in range(3))


def copies(arrays):
    return [array.copy("K") for array in arrays]


def step_checked(grads, params, velocity, lr, *, max_norm=None, inv_scale=1.0, **options):
    """Do a step and hold it to exact arithmetic."""
    step = Step(grads, lr, max_norm=max_norm, inv_scale=inv_scale, **options)
    old_params, old_velocity = copies(params), copies(velocity)
    with unchanged(*grads):
        norm = gradclip.sgd_step_(
            params,
            grads,
            lr,
            max_norm=max_norm,
            inv_scale=inv_scale,
            velocity=velocity if step.momentum else None,
            **options,
        )
    assert type(norm) is float
    if inv_scale == 1:
        oracle.assert_norm_is_right(norm, *grads)
    for i, grad in enumerate(grads):
        before, after = [old_params[i]], [params[i]]
        if step.momentum:
            before.append(old_velocity[i])
            after.append(velocity[i])
        step.check(grad, before, after)
    return step.clips


def test_factors_that_are_subnormal_have_their_full_precision(isa, rng):
    for dtype, largest, max_norm in (("f4", 1e30, 1e-12), ("f8", 1e300, 1e-13), ("c8", 1e37, 1e-6)):
        dtype = np.dtype(dtype)
        grads, params, velocity = lists(rng, [(37,)], [dtype])
        grads[0] = (grads[0] / 8 * largest).astype(dtype)
        options = {"momentum": 0.5, "weight_decay": 0.0}
        params[0][...] = 0
        velocity[0][...] = 0
        assert step_checked(grads, params, velocity, 1.0, max_norm=max_norm, **options)
        oracle.assert_norm_is_tight(velocity, max_norm)


SHAPES = [(17,), (2, 3), (), (2, 0)]


def test_every_number_is_within_its_rounding_of_the_formula(kind, rng, record_property):
    cases, clipped = 0, 0
    settings = [(None, 1.0, 0.1), (1.0, 1.0, 1e-6), (1e3, 0.1, 0.3), (0.05, 0.1, 0.7)]
    for max_norm, inv_scale, lr in settings:
        for dtypes in [*([d] * 2 for d in ALL), ALL[:4], EXACT]:
            gradclip._gradclip._set_isa(ISAS[cases % len(ISAS)])
            shapes = SHAPES[: len(dtypes)]
            given = {"max_norm": max_norm, "inv_scale": inv_scale}
            clipped += step_checked(*lists(rng, shapes, dtypes), lr, **given, **kind)
            cases += 1
    record_property("cases", cases)
    assert clipped == cases / 2


def test_layouts_that_differ_give_the_bits_of_plain_ones(kind, rng, record_property):
    cases = 0
    for dtype in (ALL[1], *EXACT):
        for names in itertools.permutations(PLACEMENTS, 3):
            gradclip._gradclip._set_isa(ISAS[cases % len(ISAS)])
            plain = lists(rng, [(4, 3, 5)], [dtype])
            given = [[placed(x, n)] for (x,), n in zip(plain, names, strict=True)]
            results = []
            for grads, params, velocity in (given, plain):
                options = kind | ({"velocity": velocity} if "momentum" in kind else {})
                gradclip.sgd_step_(params, grads, 0.1, max_norm=1e9, **options)
                results.append((params[0], velocity[0]))
            assert all(map(same_bits, *results))
            for (array,) in given:  # there are zeros between its elements
                assert np.count_nonzero(owner(array)) == np.count_nonzero(array)
            cases += 1
    record_property("cases", cases)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_long_arrays_of_other_layouts_than_their_params(placement, rng):
    kind = KINDS["Nesterov and decay"]
    grads, params, velocity = lists(rng, [(150, 230)], [np.dtype("f4")])
    other = [placed(params[0], placement)], [placed(velocity[0], "F")]
    gradclip.sgd_step_(params, grads, 0.1, velocity=velocity, **kind)
    gradclip.sgd_step_(other[0], grads, 0.1, velocity=other[1], **kind)
    assert same_bits(other[0][0], params[0])
    assert same_bits(other[1][0], velocity[0])


@pytest.mark.parametrize("bad", [False, True])
def test_the_same_bits_on_every_instruction_set_and_any_threads(bad, kind, rng, record_property):
    dtypes = [*ALL, *ALL]
    shapes = [(150, 130)] * len(ALL) + [(n,) for n in range(31, 31 + len(ALL))]
    plain = lists(rng, shapes, dtypes)
    plain[0][0] = np.asfortranarray(plain[0][0])
    plain[1][3] = np.asfortranarray(plain[1][3])
    if bad:
        for place, arrays in enumerate(plain):
            for i, value in enumerate((math.nan, -math.nan, math.inf, -math.inf)):
                for array in arrays:
                    array[..., place * 3 + i] = value
    found = set()
    for isa in ISAS:
        gradclip._gradclip._set_isa(isa)
        for threads in (1, 3, 8):
            grads, params, velocity = map(copies, plain)
            options = kind | ({"velocity": velocity} if "momentum" in kind else {})
            with gradclip.threads(threads):
                norm = gradclip.sgd_step_(
                    params, grads, 0.1, max_norm=30.0, nonfinite="propagate", **options
                )
            found.add(digest(np.float64(norm), *params, *velocity))
    record_property("cases", 3 * len(ISAS))
    assert len(found) == 1


def test_small_integers_are_exact(any_dtype, isa):
    params, velocity = [np.full(37, 8, any_dtype)], [np.full(37, 4, any_dtype)]
    grads = [np.full(37, 2, any_dtype)]
    options = {"momentum": 0.5, "weight_decay": 0.25, "velocity": velocity}
    gradclip.sgd_step_(params, grads, 0.25, nesterov=True, **options)
    assert (velocity[0] == 2 + 0.25 * 8 + 0.5 * 4).all()  # 6
    assert (params[0] == 8 - 0.25 * (4 + 0.5 * 6)).all()
    gradclip.sgd_step_(params, grads, 0.5, momentum=0.5, velocity=velocity)
    assert (velocity[0] == 5).all()
    assert (params[0] == 6.25 - 2.5).all()
    gradclip.sgd_step_(params, grads, 0.5, inv_scale=0.25)
    assert (params[0] == 3.5).all()


def test_velocity_has_no_effect_without_momentum():
    params, velocity = [np.ones(3)], [np.full(3, 5.0)]
    with unchanged(*velocity):
        gradclip.sgd_step_(params, [np.ones(3)], 0.5, velocity=velocity)
    assert (params[0] == 0.5).all()


def test_the_norm_is_that_of_the_gradients(isa, rng):
    grads, params, _ = lists(rng, [(40,)] * len(ALL), ALL)
    norm = gradclip.global_norm(grads)
    assert gradclip.sgd_step_(params, grads, 0.0, max_norm=0.5) == norm
    assert gradclip.sgd_step_(params, grads, 0.0, max_norm=0.5, inv_scale=0.5) == norm / 2


def test_the_clip_is_that_of_clip_by_global_norm(isa, rng):
    for dtype in EXACT:
        (grad,), (param,), _ = lists(rng, [(1001,)], [dtype])
        param[...] = 0
        gradclip.sgd_step_([param], [grad], 1.0, max_norm=0.5)
        oracle.assert_norm_is_tight([param], 0.5)
        squares = oracle.square_sum(param)
        unit = oracle.epsilon([param]) / 2  # products are rounded to nearest
        assert squares <= (oracle.Fraction(1, 2) * (1 + unit)) ** 2


class Recorder:
    def __init__(self, answer):
        self.answer, self.norms = answer, []

    def __call__(self, norm):
        self.norms.append(norm)
        return self.answer


def test_a_function_gives_the_threshold(rng):
    grads, params, velocity = lists(rng, [(9,), (4, 4)], EXACT[:2])
    same, same_velocity = copies(params), copies(velocity)
    threshold = Recorder(0.25)
    norm = gradclip.sgd_step_(
        params, grads, 0.1, max_norm=threshold, momentum=0.9, velocity=velocity
    )
    assert threshold.norms == [norm]
    gradclip.sgd_step_(same, grads, 0.1, max_norm=0.25, momentum=0.9, velocity=same_velocity)
    assert all(map(same_bits, params + velocity, same + same_velocity))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
class TestANonFiniteNorm:
    def arrays(self, bad, dtype):
        grads = [np.full(20, 2.0, dtype), np.full((3, 4), -1.0, dtype)]
        grads[1][1, 2] = bad
        payload = np.array([0x7FC12345], np.uint32).view(np.float32)[0]
        params = [np.full(20, 3.0, dtype), np.full((3, 4), payload, dtype)]
        return grads, params, [np.full(20, -0.0, dtype), np.full((3, 4), 8.0, dtype)]

    def step(self, lists, nonfinite, **options):
        grads, params, velocity = lists
        threshold = Recorder(1.0)
        try:
            return gradclip.sgd_step_(
                params,
                grads,
                0.5,
                max_norm=threshold,
                momentum=0.5,
                velocity=velocity,
                nonfinite=nonfinite,
                **options,
            )
        finally:
            assert threshold.norms == []

    def test_raises_and_leaves_all_as_it_was(self, bad, any_dtype):
        lists = self.arrays(bad, any_dtype)
        with (
            unchanged(*itertools.chain(*lists)),
            pytest.raises(gradclip.NonFiniteNormError) as error,
        ):
            self.step(lists, "raise")
        assert error.value.path == "grads[1]"

    def test_skips_and_leaves_all_as_it_was(self, bad, any_dtype):
        lists = self.arrays(bad, any_dtype)
        with unchanged(*itertools.chain(*lists)):
            norm = self.step(lists, "skip", inv_scale=0.25, weight_decay=0.5)
        assert same_bits(np.float64(norm), np.float64(abs(bad)))

    def test_takes_the_gradients_for_zeros(self, bad, any_dtype, isa):
        grads, params, velocity = self.arrays(bad, any_dtype)
        params[1][...] = 16.0
        with unchanged(*grads):
            self.step((grads, params, velocity), "zero", weight_decay=0.25)
        assert (velocity[0] == 0.75).all()
        assert (params[0] == 3 - 0.375).all()
        assert (velocity[1] == 8).all()  # 0.5 · 8 + 0.25 · 16
        assert (params[1] == 12).all()

    def test_goes_on_as_the_formula_does(self, bad, any_dtype, isa):
        grads, params, velocity = self.arrays(bad, any_dtype)
        params[1][...] = 16.0
        with np.errstate(all="ignore"):
            self.step((grads, params, velocity), "propagate")
        if math.isnan(bad):
            for array in params + velocity:
                assert np.isnan(array).all()
            return
        assert (params[0] == 3).all()
        assert np.isnan(params[1][1, 2])
        assert np.isnan(velocity[1][1, 2])
        assert (np.delete(params[1].ravel(), 6) == 14).all()


def test_an_overflowing_norm_of_finite_gradients_has_no_path():
    grads, params = [np.full(4, 1.5e308)], [np.ones(4)]
    with unchanged(*params), pytest.raises(gradclip.NonFiniteNormError, match="too large") as error:
        gradclip.sgd_step_(params, grads, 0.1)
    assert error.value.path is None


def test_a_param_without_gradient_is_left_alone():
    params = {"a": np.ones(3), "b": [np.full(2, -0.0), np.ones(2)], "c": np.ones((), "f4")}
    velocity = {"a": np.ones(3), "b": (None, np.ones(2)), "c": None}
    grads = {"a": np.ones(3), "b": (None, np.ones(2)), "c": None}
    with unchanged(params["b"][0], params["c"]):
        norm = gradclip.sgd_step_(params, grads, 0.5, momentum=0.5, velocity=velocity)
    assert norm == math.sqrt(5)
    assert (params["a"] == 0.25).all()
    assert (params["b"][1] == 0.25).all()


def test_dicts_may_have_any_order(rng):
    names = ["a", "b", "c", 1, 2.0, ("d", 3)]
    grads, params, velocity = (
        {name: normals(rng, 5, np.dtype("f8")) for name in names} for _ in range(3)
    )
    expected = [a - 0.5 * (0.5 * v + g) for a, v, g in zip(*(
        [d[n] for n in names] for d in (params, velocity, grads)), strict=True)]  # fmt: skip
    turned = {"in": {n: params[n] for n in reversed(names)}}
    mixed = {"in": {n: velocity[n] for n in names[3:] + names[:3]}}
    gradclip.sgd_step_(turned, {"in": grads}, 0.5, momentum=0.5, velocity=mixed)
    for name, array in zip(names, expected, strict=True):
        np.testing.assert_allclose(params[name], array, rtol=1e-14)


def test_a_lone_array():
    param = np.ones(3)
    assert gradclip.sgd_step_(param, np.full(3, 2.0), 0.25) == math.sqrt(12)
    assert (param == 0.5).all()


@pytest.mark.parametrize("nothing", [[], None, [None], {"a": np.ones((0, 3))}])
def test_no_gradients(nothing):
    assert gradclip.sgd_step_(copy.deepcopy(nothing), nothing, 0.1) == 0.0
