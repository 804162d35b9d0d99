"""dtypes that are floating or complex but not taken, and foreign byte orders of those that are."""

import ml_dtypes
import numpy as np
import pytest
from buffers import unchanged
from calls import ALL
from dtypes import ALL as DTYPES

OTHERS = [
    np.longdouble,
    np.clongdouble,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e4m3b11fnuz,
    ml_dtypes.int4,
]
SWAPPED = [dtype.newbyteorder() for dtype in DTYPES]


def assert_refused(call, bad, *words):
    good = np.full(4, 3.0)
    with unchanged(good, bad), pytest.raises(TypeError) as error:
        call([good, {"w": bad}])
    for word in ("grads[1]['w']", str(bad.dtype), *words):
        assert word in str(error.value)


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
@pytest.mark.parametrize("shape", [(3,), (), (2, 0)], ids=str)
@pytest.mark.parametrize("dtype", OTHERS, ids=lambda dtype: dtype.__name__)
def test_other_dtypes_are_refused_with_path_and_dtype(call, dtype, shape):
    assert_refused(call, np.zeros(shape, dtype), *map(str, DTYPES))


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
@pytest.mark.parametrize("dtype", SWAPPED, ids=str)
def test_foreign_byte_orders_are_refused(call, dtype):
    assert_refused(call, np.zeros(3, f"V{dtype.itemsize}").view(dtype), "native byte order")


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
@pytest.mark.parametrize("dtype", OTHERS[2:], ids=lambda dtype: dtype.__name__)
def test_a_refused_dtype_is_refused_beside_one_of_the_same_package(call, dtype):
    bfloat16 = np.ones(3, ml_dtypes.bfloat16)
    with unchanged(bfloat16), pytest.raises(TypeError, match=r"grads\[1\]"):
        call([bfloat16, np.zeros(3, dtype)])
