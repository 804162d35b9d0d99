"""The floating-point environment of the calling thread, through the C library."""

import contextlib
import ctypes
import gc
import platform
import sys

_SIZE = 64  # more than any fenv_t

# of glibc's fenv_t: offset and type of the control word, which holds the exception flags too
# (MXCSR; FPCR and FPSR), then its bits: flags, flush-to-zero, trap masks, rounding mode
_LAYOUTS = {
    "x86_64": (28, ctypes.c_uint32, 0x3F, 0x8040, 0x1D00),
    "aarch64": (0, ctypes.c_uint64, 0x9F << 32, 1 << 24, 0),
}
_ROUNDING = {
    "x86_64": {"nearest": 0, "down": 0x2000, "up": 0x4000, "zero": 0x6000},
    "aarch64": {"nearest": 0, "up": 1 << 22, "down": 2 << 22, "zero": 3 << 22},
}

SUPPORTED = sys.platform == "linux" and platform.machine() in _LAYOUTS
TRAPS_ARE_MASK_BITS = SUPPORTED and platform.machine() == "x86_64"

if SUPPORTED:
    _libm = ctypes.CDLL("libm.so.6")
    _OFFSET, _WORD, _FLAGS, _FLUSH, _MASKS = _LAYOUTS[platform.machine()]
    ROUNDING = _ROUNDING[platform.machine()]
    _ROUNDING_BITS = ROUNDING["down"] | ROUNDING["up"]
else:
    ROUNDING = {}


def _read():
    environment = ctypes.create_string_buffer(_SIZE)
    assert _libm.fegetenv(environment) == 0
    return environment


def _word(environment):
    return _WORD.from_buffer(environment, _OFFSET)


def control_word():
    """Return the control word and exception flags of the calling thread."""
    return _word(_read()).value


def flags():
    """Return the exception flags that are raised in the calling thread."""
    return control_word() & _FLAGS


def set_rounding(rounding):
    """Round so in the calling thread from here on."""
    environment = _read()
    word = _word(environment)
    word.value = word.value & ~_ROUNDING_BITS | ROUNDING[rounding]
    assert _libm.fesetenv(environment) == 0


@contextlib.contextmanager
def changed(*, rounding="nearest", flush=False, traps=False):
    """Run a block with this rounding, clear flags, and maybe flushing or unmasked exceptions."""
    before, inside = _read(), _read()
    word = _word(inside)
    word.value &= ~_FLAGS
    word.value |= ROUNDING[rounding] | (_FLUSH if flush else 0)
    if traps:
        word.value &= ~_MASKS
    collecting = gc.isenabled()
    gc.disable()  # hypothesis times collections, with arithmetic that raises flags
    assert _libm.fesetenv(inside) == 0
    try:
        yield
    finally:
        assert _libm.fesetenv(before) == 0
        if collecting:
            gc.enable()
