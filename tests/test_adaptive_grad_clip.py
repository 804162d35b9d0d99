"""adaptive_grad_clip_: each unit of a layer by the norm of its parameters."""

import itertools
import math

import numpy as np
import oracle
import pytest
from buffers import digest, owner, same_bits, unchanged
from dtypes import ALL, EXACT, HALVES, normals
from placements import PLACEMENTS, placed

import gradclip

# The axes that a unit's norm sums over, by optax's rule for an array of this shape.
OPTAX = {
    (): (),
    (1,): (0,),
    (7,): (0,),
    (0,): (0,),
    (1, 1): (0, 1),
    (1, 7): (0, 1),
    (7, 1): (0, 1),
    (3, 5): (0,),
    (2, 0): (0,),
    (0, 2): (0,),
    (1, 7, 1): (0, 1, 2),
    (2, 3, 5): (0,),
    (1, 3, 5): (0,),
    (3, 1, 5): (0,),
    (3, 5, 1): (0,),
    (1, 1, 1, 7): (0, 1, 2, 3),
    (7, 1, 1, 1): (0, 1, 2, 3),
    (2, 3, 4, 5): (0, 1, 2),
    (1, 1, 3, 5): (0, 1, 2),
    (3, 5, 1, 1): (0, 1, 2),
    (1, 1, 1, 1, 7): (0, 1, 2, 3, 4),
    (2, 3, 1, 2, 5): (0, 1, 2, 3),
    (2, 1, 1, 1, 3): (0, 1, 2, 3),
}
SHAPES = [*OPTAX]


def optaxs(shape):
    """Return optax's axes for a shape of up to four that are long."""
    return OPTAX.get(shape, (0,) if len(shape) < 4 else (0, 1, 2))


AXES = [0, 1, -1, -2, (1, 2, 3), (0, 1, 2), (-1, -2), (2,), (4, 7)]


def axes_of(shape, axis):
    """Return the axes of a shape that `axis` stands for: all if there is none of them."""
    ndim = len(shape)
    named = (axis,) if isinstance(axis, int) else axis
    inside = tuple(sorted({a % ndim for a in named if -ndim <= a < ndim})) if ndim > 1 else ()
    return inside or tuple(range(ndim))


def units(shape, inside):
    """Yield the index of each unit whose norm sums over the axes `inside`."""
    ranges = [[slice(None)] if i in inside else range(n) for i, n in enumerate(shape)]
    for place in itertools.product(*ranges):
        yield (*place, ...)


def clip_units(grad, param, inside, clipping, eps):
    """Clip each unit by itself; return how many were."""
    clipped = 0
    for unit in units(grad.shape, inside):
        max_norm = clipping * max(gradclip.global_norm(param[unit]), eps)
        clipped += gradclip.clip_by_global_norm_(grad[unit], max_norm) > max_norm
    return clipped


def with_norms_around(rng, shape, dtype, placement="C"):
    """Return numbers whose units have norms from a quarter to four times another."""
    values = normals(rng, shape, np.dtype("c16" if dtype.kind == "c" else "f8"))
    for axis, length in enumerate(shape):
        scales = 2.0 ** rng.uniform(-1, 1, length)
        values = values * scales.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return placed(values.astype(dtype), placement)


def assert_clipped_by_units(grads, params, inside, clipping=0.7, eps=1e-3, **options):
    expected = [grad.copy("K") for grad in grads]
    wanted = sum(
        clip_units(grad, param, axes, clipping, eps)
        for grad, param, axes in zip(expected, params, inside, strict=True)
    )
    with unchanged(*params):
        clipped = gradclip.adaptive_grad_clip_(grads, params, clipping, eps=eps, **options)
    assert type(clipped) is int
    assert clipped == wanted
    for grad, same in zip(grads, expected, strict=True):
        assert same_bits(grad, same)
        between = owner(grad)  # which are zeros
        assert np.count_nonzero(between) == np.count_nonzero(grad)
    return clipped


def test_units_are_optaxs_by_default(any_dtype, isa, rng, record_property):
    clipped = 0
    for shape, inside in OPTAX.items():
        grad, param = (with_norms_around(rng, shape, any_dtype) for _ in range(2))
        clipped += assert_clipped_by_units([grad], [param], [inside])
    record_property("cases", len(OPTAX))
    assert clipped > 10


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_units_are_what_axis_leaves(axis, rng, record_property):
    clipped = 0
    for dtype in EXACT:
        for shape in SHAPES:
            grad, param = (with_norms_around(rng, shape, dtype) for _ in range(2))
            inside = axes_of(shape, axis)
            clipped += assert_clipped_by_units([grad], [param], [inside], axis=axis)
    record_property("cases", len(EXACT) * len(SHAPES))
    assert clipped > 0


@pytest.mark.parametrize(
    ("shape", "inside"),
    [
        ((5,), (0,)),
        ((5, 3), (1,)),
        ((5, 3, 4), (1, 2)),
        ((5, 3, 2, 4), (1, 2, 3)),
        ((), ()),
        ((1, 6), (1,)),
    ],
)
def test_torchs_axes_leave_the_first_one(shape, inside, isa, rng):
    grad, param = (with_norms_around(rng, shape, np.dtype("f4")) for _ in range(2))
    assert_clipped_by_units([grad], [param], [inside], axis=(1, 2, 3))


def test_layouts_of_gradients_and_parameters_may_differ(isa, rng, record_property):
    cases = 0
    for shape, axis in (((6, 5), None), ((4, 3, 5), (1, 2)), ((3, 4, 2, 5), None), ((9,), None)):
        for of_grad, of_param in itertools.product(PLACEMENTS, repeat=2):
            dtype = ALL[cases % len(ALL)]
            grad = with_norms_around(rng, shape, dtype, of_grad)
            param = with_norms_around(rng, shape, ALL[cases % 5], of_param)
            inside = optaxs(shape) if axis is None else axis
            assert_clipped_by_units([grad], [param], [inside], axis=axis)
            cases += 1
    record_property("cases", cases)


def test_long_units_and_many_of_them_on_any_number_of_threads(num_threads, rng):
    isas = gradclip.show_config("dicts")["isa"]["available"]
    gradclip._gradclip._set_isa(isas[num_threads % len(isas)])
    shapes = [(20_000, 3), (3, 20_000), (600, 500)]
    grads = [with_norms_around(rng, shape, np.dtype("f4")) for shape in shapes]
    params = [np.ones(shape, "f4") for shape in shapes]
    expected = [grad.copy() for grad in grads]
    wanted = 0
    for grad, param in zip(expected, params, strict=True):
        norm_of_param = math.sqrt(len(param))
        _, norms = gradclip.clip_by_norm(grad, math.inf, axis=0)
        for column in np.flatnonzero(norms[0] > norm_of_param):
            gradclip.clip_by_global_norm_(grad[:, column], norm_of_param)
            wanted += 1
    assert gradclip.adaptive_grad_clip_(grads, params, 1.0) == wanted > 100
    assert digest(*grads) == digest(*expected)


@pytest.mark.usefixtures("isa")
def test_the_exact_norm_of_each_unit_is_bounded_and_close(rng, record_property):
    cases = 0
    for dtype in EXACT:
        for shape in ((6, 5), (3, 4, 2, 5), (40,)):
            for clipping, eps in ((0.7, 1e-3), (0.01, 1e-3), (1e-3, 100.0)):
                grad, param = (with_norms_around(rng, shape, dtype) for _ in range(2))
                before = grad.copy()
                gradclip.adaptive_grad_clip_(grad, param, clipping, eps=eps)
                for unit in units(shape, optaxs(shape)):
                    of_param = gradclip.global_norm(param[unit])
                    oracle.assert_norm_is_right(of_param, param[unit])
                    max_norm = clipping * max(of_param, eps)
                    if gradclip.global_norm(before[unit]) <= max_norm:
                        assert same_bits(grad[unit], before[unit])
                        continue
                    oracle.assert_norm_is_bounded([grad[unit]], max_norm)
                    oracle.assert_norm_is_tight([grad[unit]], max_norm)
                    cases += 1
                with unchanged(grad):
                    assert gradclip.adaptive_grad_clip_(grad, param, clipping, eps=eps) == 0
    record_property("cases", cases)
    assert cases > 100


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_units_of_16_bit_numbers_keep_to_the_bound_within_their_rounding(half, rng):
    grad, param = (with_norms_around(rng, (40, 6), half) for _ in range(2))
    assert gradclip.adaptive_grad_clip_(grad, param, 0.1) > 3
    for unit in units(grad.shape, (0,)):
        oracle.assert_norm_is_bounded([grad[unit]], 0.1 * gradclip.global_norm(param[unit]))


def test_arrays_of_all_dtypes_in_one_nesting(isa, rng):
    shapes = [(4, 3), (5,), (2, 3, 2, 4), (), (3, 4), (2, 2, 3)]
    grads = [with_norms_around(rng, s, d) for s, d in zip(shapes, ALL, strict=True)]
    params = [with_norms_around(rng, s, d) for s, d in zip(shapes, ALL[::-1], strict=True)]
    assert_clipped_by_units(grads, params, [*map(optaxs, shapes)])


def test_parameters_that_are_zero_count_eps(any_dtype):
    grad = np.full((4, 3), 2.0, any_dtype)
    assert gradclip.adaptive_grad_clip_(grad, np.zeros((4, 3), any_dtype), 0.5, eps=8.0) == 0
    assert (grad == 2).all()
    assert gradclip.adaptive_grad_clip_(grad, np.zeros((4, 3), any_dtype), 0.5, eps=4.0) == 3
    assert (np.abs(grad.astype("c16") - 1) < 0.01).all()
    assert gradclip.adaptive_grad_clip_(grad, np.zeros((4, 3), any_dtype), 0.5, eps=0.0) == 3
    assert grad.tobytes() == bytes(grad.nbytes)
    assert gradclip.adaptive_grad_clip_(grad, np.zeros((4, 3), any_dtype), 0.5, eps=0.0) == 0


def test_the_defaults_are_those_of_the_paper():
    grad, param = np.full((1, 2, 2), 3.0), np.zeros((1, 2, 2))
    param[0, 0] = 4.0
    assert gradclip.adaptive_grad_clip_(grad, param) == 4
    np.testing.assert_allclose(grad[0], [[0.04, 0.04], [1e-5, 1e-5]], rtol=1e-12)


def test_units_within_their_threshold_keep_every_byte(any_dtype, isa):
    grad, param = np.full((50, 4), -0.0, any_dtype), np.ones((50, 4), any_dtype)
    grad[:, 2] = 9.0
    before = digest(grad[:, [0, 1, 3]])
    assert gradclip.adaptive_grad_clip_(grad, param, 1.0) == 1
    assert digest(grad[:, [0, 1, 3]]) == before
    with unchanged(grad):
        assert gradclip.adaptive_grad_clip_(grad, param, 2.0) == 0


def test_none_and_other_orders_of_keys(rng):
    grads = {"a": np.full(4, 2.0), "b": [None, np.full(4, 6.0)], "c": None}
    params = {"c": np.ones(9), "b": (np.ones(3), np.full(4, 3.0)), "a": np.full(4, 4.0)}
    assert gradclip.adaptive_grad_clip_(grads, params, 1.0) == 1
    assert (grads["a"] == 2).all()
    np.testing.assert_allclose(grads["b"][1], 3.0, rtol=1e-14)
    assert gradclip.adaptive_grad_clip_([], []) == 0
    assert gradclip.adaptive_grad_clip_(None, None) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
class TestNonFiniteUnits:
    def test_of_gradients_are_an_error(self, bad, any_dtype):
        good, grad = np.full((4, 3), 5.0, any_dtype), np.full((4, 3), 5.0, any_dtype)
        grad[2, 1] = bad
        params = {"a": np.ones((4, 3)), "b": [np.ones((4, 3))]}
        refused = pytest.raises(gradclip.NonFiniteNormError, match=r"grads\['b'\]\[0\]")
        with unchanged(good, grad), refused as error:
            gradclip.adaptive_grad_clip_({"a": good, "b": [grad]}, params, 0.1)
        assert error.value.path == "grads['b'][0]"
        assert same_bits(np.float64(error.value.norm), np.float64(abs(bad)))

    def test_of_parameters_have_no_threshold(self, bad, any_dtype):
        grad, param = np.full((4, 3), 5.0, any_dtype), np.full((4, 3), 1.0, any_dtype)
        param[2, 1] = bad
        if math.isnan(bad):
            refused = pytest.raises(gradclip.NonFiniteNormError, match="params")
            with unchanged(grad), refused as error:
                gradclip.adaptive_grad_clip_([grad], {0: param}, 0.1)
            assert error.value.path == "params[0]"
            return
        assert gradclip.adaptive_grad_clip_(grad, param, 0.1) == 2
        assert (grad[:, 1] == 5).all()
        assert (np.abs(grad[:, ::2]) < 1).all()

    def test_of_parameters_and_a_clipping_of_zero(self, bad, any_dtype):
        grad, param = np.full((4, 3), 5.0, any_dtype), np.full((4, 3), 1.0, any_dtype)
        param[2, 1] = bad
        says = f"unit of params is {abs(bad)}, so that it has no threshold"
        with unchanged(grad), pytest.raises(gradclip.NonFiniteNormError, match=says):
            gradclip.adaptive_grad_clip_(grad, param, 0.0)


def grads_and_params():
    return ({"a": np.full((4, 3), 5.0), "b": [np.full(3, 5.0)]},
            {"a": np.full((4, 3), 1.0), "b": [np.full(3, 1.0)]})  # fmt: skip


class TestRefusals:
    def refused(self, error, words, grads, params, clipping=0.1, **options):
        with unchanged(grads["a"], params["a"]), pytest.raises(error, match=words):
            gradclip.adaptive_grad_clip_(grads, params, clipping, **options)

    def test_another_shape(self):
        grads, params = grads_and_params()
        params["b"][0] = np.ones((3, 1))
        words = r"^grads\['b'\]\[0\] has shape \(3,\), but params\['b'\]\[0\] has shape \(3, 1\)"
        self.refused(ValueError, words, grads, params)

    def test_another_nesting(self):
        grads, params = grads_and_params()
        self.refused(ValueError, "has no partner", grads, {"a": params["a"]})
        self.refused(ValueError, "has no gradient", grads, params | {"c": np.ones(3)})

    def test_shared_memory(self):
        grads, params = grads_and_params()
        params["b"][0] = grads["a"][0]
        self.refused(ValueError, r"grads\['a'\].*share memory", grads, params)
        grads, params = grads_and_params()
        grads["b"][0] = grads["a"][0]
        self.refused(ValueError, r"grads\['a'\] and grads\['b'\]\[0\] share", grads, params)

    def test_gradients_that_may_not_be_written(self):
        grads, params = grads_and_params()
        grads["b"][0].flags.writeable = False
        self.refused(ValueError, r"^grads\['b'\]\[0\] is read-only", grads, params)

    def test_parameters_may_be_read_only(self):
        grads, params = grads_and_params()
        params["a"].flags.writeable = False
        assert gradclip.adaptive_grad_clip_(grads, params) == 4

    @pytest.mark.parametrize("shape", [(1, 2, 1, 2, 1, 2), (1, 1, 1, 1, 1, 1)])
    def test_more_than_five_axes(self, shape):
        grads = {"a": np.full((4, 3), 5.0), "b": np.ones(shape)}
        params = {"a": np.ones((4, 3)), "b": np.ones(shape)}
        words = r"^grads\['b'\] has more than five dimensions"
        self.refused(ValueError, words, grads, params)
        self.refused(ValueError, words, dict(reversed(grads.items())), params)
        gradclip.adaptive_grad_clip_(grads, params, axis=(1, 2, 3, 4, 5))

    @pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
    @pytest.mark.parametrize("name", ["clipping", "eps"])
    def test_numbers_out_of_range(self, name, value):
        options = {"clipping": 0.1} | {name: value}
        self.refused(ValueError, f"^{name} must be", *grads_and_params(), **options)

    @pytest.mark.parametrize("axis", ["0", 1.0, (0, None)], ids=repr)
    def test_axes_that_are_no_integers(self, axis):
        self.refused(TypeError, "axis", *grads_and_params(), axis=axis)

    def test_no_axes(self):
        self.refused(ValueError, "axis must name at least one", *grads_and_params(), axis=())
