"""Arrays that change, or are not what they seem, while a call is at work: nothing is written."""

import numpy as np
import pytest
from buffers import unchanged
from dlpack_producers import Producer
from dtypes import BFLOAT16
from subprocesses import output_of

import gradclip


def test_a_callable_that_resizes_an_array_is_refused():
    grads = [np.ones(4), np.full(100_000, 2.0)]

    def shrink(norm):
        grads[1].resize(10, refcheck=False)
        return 1.0

    with pytest.raises(RuntimeError, match=r"grads\[1\]"):
        gradclip.clip_by_global_norm_(grads, shrink)
    assert (grads[0] == 1).all()
    assert (grads[1] == 2).all()


CHANGES = {
    "one less": lambda grads: grads.pop(),
    "one more": lambda grads: grads.append(np.ones(3)),
    "another": lambda grads: grads.__setitem__(1, np.ones(3)),
    "no array": lambda grads: grads.__setitem__(1, "text"),
    "None": lambda grads: grads.__setitem__(1, None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_container_that_changes_the_one_around_it_while_it_is_copied_is_refused(change):
    class Changing(list):
        def __copy__(self):
            change(grads)
            return list(self)

    grads = [Changing([np.ones(4)]), np.ones(3)]
    with pytest.raises(RuntimeError, match="grads changed while it was being read"):
        gradclip.clip_by_global_norm(grads, 1.0)


@pytest.mark.parametrize("layout", [np.s_[:], np.s_[::2]], ids=["contiguous", "strided"])
def test_a_callable_that_locks_an_array_is_refused(layout):
    grads = [np.full(8, 2.0)[layout]]

    def lock(norm):
        grads[0].flags.writeable = False
        return 1.0

    with pytest.raises(RuntimeError, match="nothing was written"):
        gradclip.clip_by_global_norm_(grads, lock)
    assert (grads[0] == 2).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("before", "after"),
    [("f2", BFLOAT16), ("c8", "f8"), ("f8", "c8"), ("c16", "f8"), ("f8", "f4"), ("<f8", ">f8")],
)
def test_a_callable_that_changes_what_an_array_holds_is_refused(before, after):
    grads = [np.ones(8, before)]

    def reinterpret(norm):
        grads[0].dtype = after
        return 0.5

    with unchanged(grads[0]), pytest.raises(RuntimeError, match="nothing was written"):
        gradclip.clip_by_global_norm_(grads, reinterpret)


def test_a_callable_that_changes_a_source_of_a_functional_clip_is_refused():
    grads = [np.full(100_000, 2.0)]

    def shrink(norm):
        grads[0].resize(10, refcheck=False)
        return 1.0

    with pytest.raises(RuntimeError, match=r"grads\[0\]"):
        gradclip.clip_by_global_norm(grads, shrink)


class Sly(np.ndarray):
    """Gives its own memory for a new array."""

    def __array_function__(self, func, types, args, kwargs):
        return self.view(np.ndarray)


class Owner(np.ndarray):
    """Gives the array that owns its memory for a new one."""

    def __array_function__(self, func, types, args, kwargs):
        return self.base


class Turning(np.ndarray):
    """Becomes complex when a new array is made, and so does that."""

    def __array_function__(self, func, types, args, kwargs):
        self.dtype = np.complex64
        return np.empty(self.shape, np.complex64)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [Sly, Owner, Turning])
def test_a_functional_clip_never_writes_to_its_argument(kind):
    grad = np.full(8, 2.0)
    with pytest.raises(TypeError, match=r"numpy\.empty_like"):
        gradclip.clip_by_global_norm(grad.view(kind), 1.0)
    assert (grad == 2).all()


class Rude(np.ndarray):
    """An array that will not tell its class."""

    @property
    def __class__(self):
        raise LookupError("no class")


def test_an_array_is_what_its_type_says():
    assert np.ma  # imported, so that there may be masked arrays
    grad = np.array([3.0, 4.0]).view(Rude)
    assert gradclip.clip_by_global_norm_(grad, 1.0) == 5.0
    assert gradclip.global_norm(grad) <= 1.0


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_native_dtypes_that_name_their_byte_order_are_taken(kind):
    swapped = np.array([3.0, 4.0], dtype=np.dtype(kind).newbyteorder("S"))
    grad = swapped.byteswap().view(swapped.dtype.newbyteorder("S"))
    assert grad.dtype.isnative
    assert gradclip.clip_by_global_norm_(grad, 1.0) == 5.0


NO_MEMORY_AT_ALL = """
import numpy as np, gradclip, _testcapi

hold = [float(i) + 0.5 for i in range(300)]  # so that no spare float is left
grad = np.array([3.0, 4.0])
refused = 0
for start in range(40):
    before = grad.tobytes()
    _testcapi.set_nomemory(start, start + 1)
    try:
        CALL
    except MemoryError:
        _testcapi.remove_mem_hooks()
        refused += 1
        assert grad.tobytes() == before, start
    else:
        _testcapi.remove_mem_hooks()
        assert grad.tobytes() != before, start
        grad[:] = [3.0, 4.0]
print(refused > 0)
"""


@pytest.mark.parametrize(
    "call",
    ["gradclip.clip_by_global_norm_(grad, 1.0)", "gradclip.clip_with_norm_(grad, 1.0, 5.0)"],
)
def test_no_memory_for_the_result_is_found_out_before_writing(call):
    pytest.importorskip("_testcapi", reason="this Python comes without its test modules")
    assert output_of(NO_MEMORY_AT_ALL.replace("CALL", call)) == "True"


def test_the_norm_of_nans_has_the_same_bits_everywhere():
    nans = np.array([0x7FF8000000000001, 0xFFF8000000000002, 0x7FF0000000000003], dtype="u8")
    isas = gradclip.show_config(mode="dicts")["isa"]
    norms = set()
    try:
        for name in isas["available"]:
            gradclip._gradclip._set_isa(name)
            grad = nans.view("f8").copy()
            norm = gradclip.clip_by_global_norm_(grad, 1.0, nonfinite="propagate")
            norms.add((np.float64(norm).tobytes(), grad.tobytes()))
    finally:
        gradclip._gradclip._set_isa(isas["in_use"])
    assert len(norms) == 1


def test_a_callable_that_changes_a_tensors_class_is_refused():
    class Other(Producer):
        pass

    tensor = Producer(np.full(4, 2.0))

    def change(norm):
        tensor.__class__ = Other
        return 1.0

    with unchanged(tensor.array), pytest.raises(RuntimeError, match="nothing was written"):
        gradclip.clip_by_global_norm_([np.ones(3), tensor], change)
