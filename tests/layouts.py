"""Views of every layout: functions from a uint8 buffer and a dtype to a view of the buffer."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

BUFFER_SIZE = 1 << 20


def _matrix(buffer, dtype):
    return buffer[: 300 * 200 * dtype.itemsize].view(dtype).reshape(300, 200)


def _cube(buffer, dtype):
    return buffer[: 30 * 50 * 40 * dtype.itemsize].view(dtype).reshape(30, 50, 40)


def _records(buffer, dtype):
    record = np.dtype({"names": ["g"], "formats": [dtype], "offsets": [3], "itemsize": 21})
    return buffer[: 21 * 40_000].view(record)


LAYOUTS = {
    "contiguous": _matrix,
    "empty": lambda buffer, dtype: _matrix(buffer, dtype)[:, :0],
    "every second": lambda buffer, dtype: _matrix(buffer, dtype).ravel()[::2],
    "every seventh, backwards": lambda buffer, dtype: _matrix(buffer, dtype).ravel()[::-7],
    "reversed": lambda buffer, dtype: _matrix(buffer, dtype).ravel()[::-1],
    "columns": lambda buffer, dtype: _matrix(buffer, dtype)[:, 3:120],
    "one column": lambda buffer, dtype: _matrix(buffer, dtype)[:, 5],
    "even rows": lambda buffer, dtype: _matrix(buffer, dtype)[::2],
    "every third column": lambda buffer, dtype: _matrix(buffer, dtype)[:, ::3],
    "transposed": lambda buffer, dtype: _matrix(buffer, dtype).T,
    "transposed columns": lambda buffer, dtype: _matrix(buffer, dtype).T[3:120],
    "rows reversed": lambda buffer, dtype: _matrix(buffer, dtype)[::-1],
    "both axes reversed": lambda buffer, dtype: _matrix(buffer, dtype)[::-1, ::-2],
    "transposed and reversed": lambda buffer, dtype: _matrix(buffer, dtype).T[::-1, 1::2],
    "axes permuted": lambda buffer, dtype: _cube(buffer, dtype).transpose(1, 2, 0),
    "part of permuted axes": lambda buffer, dtype: _cube(buffer, dtype).transpose(2, 0, 1)[
        1::3, 2:
    ],
    "extra axes": lambda buffer, dtype: _cube(buffer, dtype)[:, None, ::2, :, None],
    "misaligned": lambda buffer, dtype: buffer[3 : 3 + 30_000 * dtype.itemsize].view(dtype),
    "misaligned, strided": lambda buffer, dtype: (
        buffer[1 : 1 + 30_000 * dtype.itemsize].view(dtype).reshape(300, 100)[::-3, ::2]
    ),
    "diagonal": lambda buffer, dtype: as_strided(
        _matrix(buffer, dtype), (200,), (201 * dtype.itemsize,)
    ),
    "field of records": lambda buffer, dtype: _records(buffer, dtype)["g"],
    "field of records, backwards": lambda buffer, dtype: _records(buffer, dtype)["g"][::-2],
}
