"""dtypes that are floating but not taken: float16, bfloat16, complex."""

import ml_dtypes
import numpy as np
import pytest
from buffers import unchanged
from calls import ALL


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
@pytest.mark.parametrize("dtype", ["float16", "complex64", "complex128", ml_dtypes.bfloat16])
def test_refused_with_path_and_dtype(call, dtype):
    good, bad = np.full(4, 3.0), np.ones(3, dtype)
    with unchanged(good, bad), pytest.raises(TypeError) as error:
        call([good, {"w": bad}])
    for word in ("grads[1]['w']", str(bad.dtype), "float32", "float64"):
        assert word in str(error.value)
