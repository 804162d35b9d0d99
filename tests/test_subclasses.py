"""Subclasses of ndarray with code of their own: written where they are, and as they say."""

import sys
import types

import numpy as np
import oracle
import pytest
from buffers import same_bits, unchanged
from calls import ALL, IN_PLACE
from dtypes import normals

import gradclip


def forbidden(*args, **kwargs):
    raise AssertionError("code of the subclass has run")


class Hostile(np.ndarray):
    """Runs no code of its own in peace, once it is armed."""

    armed = False

    def __array_finalize__(self, parent):
        if Hostile.armed:
            forbidden()

    __array_wrap__ = __array_prepare__ = __array_function__ = __array_ufunc__ = forbidden
    __len__ = __iter__ = __getitem__ = __setitem__ = __bool__ = __hash__ = __eq__ = forbidden
    __float__ = __array__ = __dlpack__ = __dlpack_device__ = __repr__ = __str__ = forbidden
    shape = strides = dtype = size = data = flags = property(forbidden)


@pytest.fixture
def armed():
    yield lambda: setattr(Hostile, "armed", True)
    Hostile.armed = False


@pytest.mark.parametrize("layout", [np.s_[:], np.s_[::-2]], ids=["contiguous", "strided"])
def test_calls_in_place_run_no_code_of_a_subclass(layout, any_dtype, rng, armed):
    values = normals(rng, 50, any_dtype)
    arrays = [values.copy()[layout] for _ in IN_PLACE]
    hostile = [array.view(Hostile) for array in arrays]
    armed()
    for call, array, view in zip(IN_PLACE.values(), arrays, hostile, strict=True):
        expected = values.copy()[layout]
        call([expected])
        call({"w": (view,)})
        assert same_bits(array, expected)


def test_reading_runs_no_code_of_a_subclass(any_dtype, rng, armed):
    values = normals(rng, 50, any_dtype)
    view = values.copy().view(Hostile)
    armed()
    assert gradclip.global_norm([view]) == gradclip.global_norm(values)
    assert gradclip.array_norms([view])[0] == gradclip.global_norm(values)


def test_refusing_runs_no_code_of_a_subclass(armed):
    arrays = {
        r"int64": np.ones(8, int).view(Hostile),
        r"overlap": np.lib.stride_tricks.as_strided(np.ones(8), (3, 3), (8, 8)).view(Hostile),
        r"read-only": np.broadcast_to(1.0, 8).view(Hostile),
    }
    armed()
    for words, view in arrays.items():
        with pytest.raises((TypeError, ValueError), match=rf"grads\[0\].*{words}"):
            gradclip.clip_by_global_norm_([view], 1.0)


def test_an_error_of_a_subclass_ends_the_functional_clip_and_writes_nothing(armed):
    first, last = np.full(8, 2.0), np.full(8, 2.0)
    view = last.view(Hostile)
    armed()
    with unchanged(first, last), pytest.raises(AssertionError, match="code of the subclass"):
        gradclip.clip_by_global_norm([first, view], 1.0)


def test_the_functional_clip_makes_what_empty_like_makes():
    class Tagged(np.ndarray):
        def __array_finalize__(self, parent):
            self.tag = getattr(parent, "tag", None)

        def __array_wrap__(self, *args, **kwargs):
            raise AssertionError("wrapped")

    array = np.full(4, 2.0).view(Tagged)
    array.tag = "mine"
    for max_norm in (1.0, 9.0):
        (clipped,), norm = gradclip.clip_by_global_norm([array], max_norm)
        assert norm == 4.0
        assert type(clipped) is Tagged
        assert clipped.tag == "mine"
        assert not np.shares_memory(clipped, array)
    oracle.assert_norm_is_bounded([np.asarray(clipped)], 4.0)
    assert array.tolist() == [2.0] * 4


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
def test_records_are_refused_and_their_fields_are_taken(call):
    records = np.rec.fromarrays([np.full(8, 2.0), np.full(8, 3, "f4")], names="a,b")
    assert type(records) is np.recarray
    with unchanged(records), pytest.raises(TypeError, match=r"^grads\[1\] .*'a'"):
        call([np.ones(3), records])
    call([records.a, records.b])


FAKES = {"None": None, "a number": 3, "a type": int}


@pytest.mark.parametrize("fake", FAKES.values(), ids=FAKES)
def test_another_module_of_the_name_of_masked_arrays_is_no_reason_to_fail(fake, monkeypatch):
    module = types.ModuleType("numpy.ma")
    array = np.array([3.0, 4.0]).view(Hostile)
    for content in ({}, {"MaskedArray": fake}):
        vars(module).update(content)
        for known in (fake, module):
            monkeypatch.setitem(sys.modules, "numpy.ma", known)
            assert gradclip.global_norm([array]) == 5.0
