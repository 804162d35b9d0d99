"""JAX's arrays: norms are those of the same NumPy array, and nothing is written to them."""

import dlpack_calls
import numpy as np
import pytest
from buffers import same_bits
from dlpack_calls import assert_refused
from dtypes import normals

read, in_place_call = dlpack_calls.read, dlpack_calls.in_place_call


@pytest.fixture(scope="module")
def jnp():
    return pytest.importorskip("jax.numpy")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "complex64"])
def test_norms_of_jax_arrays(jnp, read, kind, rng):
    array = normals(rng, (30, 40), np.dtype(getattr(jnp, kind)))
    assert same_bits(read([jnp.asarray(array)]), read([array]))
    assert same_bits(read(jnp.asarray(array).T), read(array.T.copy()))


def test_jax_arrays_are_not_written(jnp, in_place_call):
    array = jnp.array([3.0, 4.0])
    assert_refused(in_place_call, array, ValueError, "without a version", "numpy.array(...)")
    assert array.tolist() == [3.0, 4.0]
