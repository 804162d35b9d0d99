"""Tensors that change while a call is at work: nothing is written, and nothing crashes."""

import dlpack_calls
import dlpack_producers as dlpack
import numpy as np
import pytest
from buffers import unchanged
from dlpack_calls import raising
from dlpack_producers import EXPORTS, READ_ONLY, Exchanging, Producer
from dtypes import BFLOAT16
from subprocesses import output_of

import gradclip

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once
writeable = dlpack_calls.writeable


CHANGES = {
    "memory": lambda tensor: setattr(tensor, "array", tensor.array.copy()),
    "size": lambda tensor: setattr(tensor, "array", tensor.array[:10]),
    "strides": lambda tensor: setattr(tensor, "array", tensor.array[::2]),
    "dtype": lambda tensor: setattr(tensor, "array", tensor.array.view(BFLOAT16)),
    "lanes": lambda tensor: tensor.options.update(dtype=(2, 16, 2)),
    "flags": lambda tensor: tensor.options.update(flags=READ_ONLY),
    "device": lambda tensor: tensor.options.update(device=(2, 0)),
    "no memory": lambda tensor: tensor.options.update(data=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("make", [Producer, Exchanging])
def test_a_callable_that_changes_a_tensor(make, change):
    array = np.full(50_000, 2.0, "f2")
    grads = {"a": [np.full(3, 2.0), make(array)]}

    def max_norm(norm):
        change(grads["a"][1])
        return 1.0

    with (
        unchanged(array, grads["a"][0]),
        pytest.raises(RuntimeError, match=r"grads\['a'\]\[1\]; nothing was written"),
    ):
        gradclip.clip_by_global_norm_(grads, max_norm)
    assert not EXPORTS.living


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_callable_that_changes_a_tensor_before_a_step(which):
    lists = [[np.ones(3), Producer(np.full(9, 2.0))] for _ in range(3)]
    memory = lists[which][1].array

    def move(norm):
        lists[which][1].array = memory.copy()
        return 1.0

    params, grads, velocity = lists
    with (
        unchanged(memory, *(array for array, _ in lists)),
        pytest.raises(RuntimeError, match=r"\[1\]; nothing was written"),
    ):
        gradclip.sgd_step_(params, grads, 0.5, max_norm=move, momentum=0.5, velocity=velocity)


def test_a_callable_after_which_a_tensor_is_elsewhere():
    tensor = Producer(np.full(9, 2.0))

    def move(norm):
        tensor.says = (2, 0)
        return 1.0

    with unchanged(tensor.array), pytest.raises(RuntimeError, match="grads; nothing was written"):
        gradclip.clip_by_global_norm_(tensor, move)
    assert len(tensor.calls) == 1


@pytest.mark.parametrize("error", [BufferError, KeyboardInterrupt, MemoryError])
def test_a_callable_after_which_a_tensor_can_not_be_exported(error):
    tensor = Producer(np.full(9, 2.0))

    def lock(norm):
        tensor.capsule = raising(error("locked"))
        return 1.0

    expected = TypeError if error is BufferError else error  # with the path, if it is no interrupt
    with unchanged(tensor.array), pytest.raises(expected, match="locked"):
        gradclip.clip_by_global_norm_([np.ones(3), tensor], lock)
    assert not EXPORTS.living


def test_a_callable_that_changes_nothing(writeable):
    array = np.array([3.0, 4.0])
    grads = [writeable(array), np.zeros(3)]
    assert gradclip.clip_by_global_norm_(grads, lambda norm: norm / 2) == 5.0
    assert array == pytest.approx([1.5, 2.0])
    assert not EXPORTS.living


HOSTILE = {
    "empties the list": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        grads.clear()
        gc.collect()
        return super().__dlpack__(**arguments)

grads = [Rude(np.full(50_000, 2.0)) for _ in range(20)]
print(gradclip.clip_by_global_norm_(grads, 1.0) == 50_000**0.5 * 2)
""",
    "drops its memory": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        capsule = super().__dlpack__(**arguments)
        del self.array
        gc.collect()
        return capsule

print(gradclip.clip_by_global_norm_([Rude(np.full(50_000, 2.0))], 1.0) == 50_000**0.5 * 2)
""",
    "clips within": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        gradclip.clip_by_global_norm_([Producer(self.array)], 1.0)
        return super().__dlpack__(**arguments)

print(gradclip.global_norm([Rude(np.full(50_000, 2.0))]) <= 1.0)
""",
    "changes its class": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        self.__class__ = Producer
        return self.__dlpack__(**arguments)

grads = [Rude(np.full(50_000, 2.0)), Rude(np.full(50_000, 2.0))]
print(gradclip.clip_by_global_norm_(grads, 1.0) == 100_000**0.5 * 2)
""",
    "goes away with its class": """
def make():
    class Passing(Producer):
        pass
    return Passing(np.full(5, 2.0))

for _ in range(200):
    grads = [make() for _ in range(5)]
    gradclip.clip_by_global_norm_(grads, lambda norm: grads.clear() or gc.collect() and 1.0 or 1.0)
print(not dlpack_producers.EXPORTS.living)
""",
}


@pytest.mark.parametrize("snippet", HOSTILE.values(), ids=HOSTILE)
def test_code_that_runs_while_tensors_are_exported_can_not_crash_a_call(snippet):
    prepare = f"""
import gc, sys
sys.path.insert(0, {dlpack.__file__.rpartition("/")[0]!r})
import numpy as np
import gradclip, dlpack_producers
from dlpack_producers import Producer
"""
    assert output_of(prepare + snippet) == "True"
