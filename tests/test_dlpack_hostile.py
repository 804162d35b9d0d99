"""Producers whose code changes other arrays, shows copies or fails: nothing is lost or written."""

import numpy as np
import pytest
from dlpack_producers import Producer

import gradclip

IS_COPIED = 2


def test_a_copy_is_read_but_not_written():
    shown = Producer(np.array([3.0, 4.0]), flags=IS_COPIED)
    assert gradclip.global_norm([shown]) == 5.0
    with pytest.raises(ValueError, match=r"^grads\[0\].* shows a copy"):
        gradclip.clip_by_global_norm_([shown], 1.0)


@pytest.mark.parametrize("call", [gradclip.global_norm, lambda g: gradclip.scale_(g, 2.0)])
def test_one_that_resizes_an_array_before_it(call):
    first = np.ones(100_000)

    class Resizing(Producer):
        def __dlpack__(self, **options):
            first.resize((1,), refcheck=False)
            return super().__dlpack__(**options)

    with pytest.raises(RuntimeError, match=r"changed the memory.* of grads\[0\]"):
        call([first, Resizing(np.ones(2))])


def test_a_dict_that_resizes_an_array_before_it():
    first = np.ones(100_000)

    class Resizing(dict):
        def items(self):
            first.resize((1,), refcheck=False)
            return super().items()

    with pytest.raises(RuntimeError, match=r"changed the memory.* of grads\[0\]"):
        gradclip.scale_([first, Resizing(a=np.ones(2))], 2.0)


def test_the_reason_is_kept():
    class Failing(Producer):
        def __dlpack__(self, **options):
            return 1 / 0

    with pytest.raises(TypeError, match=r"^grads\[0\].*division by zero") as caught:
        gradclip.global_norm([Failing(np.ones(2))])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("attribute", ["__dlpack__", "__dlpack_c_exchange_api__"])
def test_interrupts_from_a_metaclass_come_through(attribute):
    class Interrupting(type):
        def __getattribute__(self, name):
            if name == attribute:
                raise KeyboardInterrupt
            return super().__getattribute__(name)

    class Leaf(metaclass=Interrupting):
        pass

    with pytest.raises(KeyboardInterrupt):
        gradclip.global_norm([Leaf()])


def test_a_callable_after_which_an_export_fails_has_the_path_in_its_error():
    class Once(Producer):
        def __dlpack__(self, **options):
            if self.asked:
                return 5
            self.asked = True
            return super().__dlpack__(**options)

    leaf = Once(np.full(4, 2.0))
    leaf.asked = False
    with pytest.raises(TypeError, match=r"^grads\['a'\].* no DLPack capsule"):
        gradclip.clip_by_global_norm_({"a": leaf}, lambda norm: norm / 2)
    assert leaf.array.tolist() == [2.0] * 4
