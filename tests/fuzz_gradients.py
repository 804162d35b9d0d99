"""Random gradients for the fuzzer: numbers of every kind, in memory of every layout."""

import ctypes
import math
import mmap

import numpy as np
from buffers import turned_as, turned_to_address_order
from dtypes import ALL, finfo, real_dtype

# Where code changes its way: vectors, unrolled rows and lanes, blocks, a chunk, a second thread.
EDGES = [0, 1, 2, 4, 8, 16, 32, 64, 96, 128, 512, 1024]
BLOCK_EDGES = [8192, 16384, 2 * 16384, 8 * 16384]
LONG = [1 << 17, 1 << 18, 1 << 19]
PERIOD = 50_021  # of the numbers in a long array, which take longer to draw than to clip
ORDINARY = ["normals", "wide", "subnormal", "constant", "sparse", "huge", "blocks"]
SPECIAL = ["specials", "patterns"]


def length(rng):
    """Return a number of elements: around an edge, or any; seldom enough for several threads."""
    kind = rng.random()
    if kind < 0.02:
        return max(0, rng.choice(LONG) + rng.randint(-33, 33))
    if kind < 0.1:
        return rng.choice(BLOCK_EDGES) + rng.randint(-33, 33)
    if kind < 0.6:
        return max(0, rng.choice(EDGES) * rng.choice([1, 1, 3]) + rng.randint(-2, 2))
    return int(math.exp(rng.uniform(0, math.log(5000))))


def numbers(rng, many, count, dtype, kind):
    """Return `count` elements of a dtype: floats of this kind, in both parts of complex ones."""
    real = real_dtype(dtype)
    total = count * (dtype.itemsize // real.itemsize)
    size = min(total, PERIOD)
    if kind == "patterns":
        return many.integers(0, 256, total * real.itemsize, np.uint8).view(dtype)
    info = finfo(dtype)
    low = math.log2(float(info.smallest_subnormal))
    high = math.log2(float(info.max)) - 1e-9
    if kind == "wide":
        exponents = many.uniform(low, high, size)
    elif kind == "blocks":  # each on its own side of where squares leave the range
        exponents = np.repeat(many.uniform(low, high, size // 8192 + 1), 8192)[:size]
    elif kind == "subnormal":
        exponents = many.uniform(low, math.log2(float(info.smallest_normal)), size)
    elif kind == "huge":
        exponents = many.uniform(high - 4, high, size)
    else:
        exponents = np.full(size, rng.choice([0, 0, rng.uniform(low + 3, high - 3)]))
    values = np.exp2(np.floor(exponents)) * many.uniform(1, 1.99, size)
    values *= many.choice([-1.0, 1.0], size)
    if kind == "constant":
        values = np.full(size, values[0] if size else 0.0)
    if kind == "sparse":
        values[many.random(size) < 0.9] = rng.choice([0.0, -0.0])
    values = np.resize(values, total)
    if kind == "specials" and total:
        places = many.integers(0, total, rng.randint(1, 3))
        values[places] = rng.choice([math.inf, -math.inf, math.nan, -math.nan, -0.0])
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(real).view(dtype)


def shape_of(rng, count):
    """Return a shape of three axes at most with `count` elements."""
    if count == 1 and rng.random() < 0.3:
        return []
    shape = [count]
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        divisors = [d for d in (1, 2, 3, 5, 7, 16, 30, 64) if shape[-1] % d == 0]
        divisor = rng.choice(divisors)
        shape[-1:] = [shape[-1] // divisor, divisor] if count else [shape[-1], 1]
    rng.shuffle(shape)
    return shape


def before_a_hole(size):
    """Return a uint8 buffer that is followed by a page that nobody may touch."""
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = np.frombuffer(mmap.mmap(-1, pages + mmap.PAGESIZE), np.uint8)
    hole = ctypes.c_void_p(memory.ctypes.data + pages)
    assert ctypes.pythonapi.mprotect(hole, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    return memory[pages - size : pages]


class Layout:
    """How elements lie in memory, from `start` bytes after a boundary of 64 on."""

    def __init__(self, rng, count, dtype, whole_items, reversible, batch=None):
        self.dtype, self.shape = dtype, shape_of(rng, count // batch if batch else count)
        of_batch = rng.choice([0, 0, len(self.shape)])
        if batch is not None:
            self.shape.insert(of_batch, batch)
            count = count // batch * batch if batch else 0
        item = dtype.itemsize
        unit = item if whole_items or rng.random() < 0.7 else 1
        self.start = rng.choice([0, 0, 1, item, rng.randrange(64)]) // unit * unit
        contiguous = rng.random() < 0.4
        self.strides, extent = [], item
        for size in reversed(self.shape):
            gap = 0 if contiguous else rng.choice([0, 0, item, 2 * item, unit * rng.randint(1, 9)])
            self.strides.insert(0, extent + gap)
            extent = (extent + gap) * max(size - 1, 0) + extent
        self.extent = extent if count else 0
        self.axes = list(range(len(self.shape)))
        self.flips = [1] * len(self.shape)
        if not contiguous:
            rng.shuffle(self.axes)
            if reversible:
                self.flips = [rng.choice([1, 1, -1]) for _ in self.shape]
        if batch is not None:  # along the first axis, wherever that lies in memory
            self.axes.remove(of_batch)
            self.axes.insert(0, of_batch)

    def view(self, buffer, offset):
        """Return the array in a buffer from this offset on."""
        array = np.ndarray(self.shape, self.dtype, buffer, offset, self.strides)
        return array[(..., *(slice(None, None, flip) for flip in self.flips))].transpose(self.axes)


class Gradients:
    """Arrays of random layouts, closely packed among guard bytes in one buffer.

    With `batch`, each has that many examples along its first axis.
    """

    def __init__(self, rng, many, whole_items, reversible, batch=None):
        count = rng.choice([0, 1, 1, 1, 2, 3, 5, rng.randint(6, 80)])
        lengths = [length(rng) if count < 6 else rng.randint(0, 70) for _ in range(count)]
        dtypes = rng.sample(ALL, rng.choice([1, 1, 2, len(ALL)]))
        kinds = rng.sample(ORDINARY, 2) + (SPECIAL if rng.random() < 0.15 else [])
        self.layouts, self.offsets, self.values, end = [], [], [], 64
        for size in lengths:
            dtype = rng.choice(dtypes)
            layout = Layout(rng, size, dtype, whole_items, reversible, batch)
            self.layouts.append(layout)
            size = math.prod(layout.shape)
            self.values.append(numbers(rng, many, size, dtype, rng.choice(kinds)))
            if whole_items or rng.random() < 0.5:  # else right behind the last one
                end += -end % 64
            self.offsets.append(end + layout.start)
            end += layout.start + layout.extent
        guards = rng.choice([0, 192])  # behind the last array; without them, a byte more is a crash
        shift = -(end + guards) % 64
        self.offsets = [offset + shift for offset in self.offsets]
        self.buffer = before_a_hole(end + guards + shift)
        self.buffer[:] = 0xA5
        self.fill(self.buffer, self.values)

    def views(self, buffer):
        """Return the arrays as they lie in a buffer like this one."""
        places = zip(self.layouts, self.offsets, strict=True)
        return [layout.view(buffer, offset) for layout, offset in places]

    def compact(self, contiguous):
        """Return such elements as arrays of the same shapes and orders, without gaps."""
        views = zip(self.views(self.buffer), contiguous, strict=True)
        return [
            turned_as(values.reshape(turned_to_address_order(view).shape), view)
            for view, values in views
        ]

    def fill(self, buffer, contiguous):
        """Write elements, given in ascending address order, to their places in a buffer."""
        for view, values in zip(self.views(buffer), contiguous, strict=True):
            ordered = turned_to_address_order(view)
            ordered[...] = values.reshape(ordered.shape)

    def __str__(self):
        lines = []
        for layout, offset in zip(self.layouts, self.offsets, strict=True):
            strides = [step * f for step, f in zip(layout.strides, layout.flips, strict=True)]
            shape = f"{layout.dtype} shape {layout.shape} strides {strides} axes {layout.axes}"
            lines.append(f"  {shape} at byte {offset} after a multiple of 64")
        return "\n".join(lines[:8] + ["  …"] * (len(lines) > 8))
