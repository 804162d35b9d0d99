"""__dlpack__ is asked once, for the newest version; if it gives no capsule, the error says so."""

import dlpack_calls
import dlpack_producers as dlpack
import numpy as np
import pytest
from buffers import unchanged
from dlpack_calls import Giving, assert_refused, raising
from dlpack_producers import EXPORTS, OldProducer, Producer, table

import gradclip

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once
call = dlpack_calls.call


def test_the_newest_version_is_asked_for_and_nothing_else():
    producer = Producer(np.ones(3))
    gradclip.global_norm(producer)
    assert producer.calls == [{"max_version": (1, 2)}]


def test_producers_from_before_version_1_are_asked_without_a_version():
    producer = OldProducer(np.ones(3))
    gradclip.global_norm(producer)
    assert producer.calls == [{}]


def test_each_tensor_is_exported_once(call):
    producers = [Producer(np.ones(3)) for _ in range(4)]
    call(producers)
    assert [len(producer.calls) for producer in producers] == [1] * 4
    assert not EXPORTS.living


@pytest.mark.parametrize(
    "error",
    [BufferError, ValueError, RuntimeError, TypeError, AttributeError, OSError, ZeroDivisionError],
)
def test_errors_of_producers_are_told_in_a_line(call, error):
    bad = Giving(raising(error("can not,\nby no means\nbacktrace")))
    assert "means" not in assert_refused(call, bad, TypeError, "Giving", "can not,")


def test_errors_without_words(call):
    assert_refused(call, Giving(raising(BufferError())), TypeError, "Giving")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit])
def test_errors_that_are_no_answer_go_through(call, error):
    failure = error("stop")
    good = np.full(5, 3.0)
    with unchanged(good), pytest.raises(error) as raised:
        call([good, Producer(good.copy()), Giving(raising(failure))])
    assert raised.value is failure
    assert not EXPORTS.living


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_errors_that_are_no_answer_go_through_from_the_device(call, error):
    class Busy(Producer):
        def __dlpack_device__(self):
            raise error

    with pytest.raises(error):
        call([Busy(np.ones(3))])


def test_errors_of_the_device(call):
    class Lost(Producer):
        def __dlpack_device__(self):
            raise LookupError("no device")

    bad = Lost(np.ones(3))
    assert_refused(call, bad, TypeError, "no device", "Lost")
    assert not bad.calls


def test_a_device_that_is_no_number(call):
    class Named(Producer):
        def __dlpack_device__(self):
            return "cpu", 0

    bad = Named(np.ones(3))
    assert_refused(call, bad, TypeError, "integer", "Named")
    assert not bad.calls


NO_CAPSULES = {
    "None": lambda: None,
    "number": lambda: 3,
    "array": lambda: np.ones(3),
    "capsule of another name": lambda: dlpack.api_capsule(table(), b"tensor"),
    "used capsule": lambda: dlpack.api_capsule(table(), b"used_dltensor_versioned"),
}


@pytest.mark.parametrize("gives", NO_CAPSULES.values(), ids=NO_CAPSULES)
def test_what_is_no_capsule(call, gives):
    assert_refused(call, Giving(gives), TypeError, "Giving", "no DLPack capsule")


@pytest.mark.parametrize("method", [None, 3])
def test_a_method_that_is_none(call, method):
    bad = type("Odd", (), {"__dlpack__": method, "__dlpack_device__": lambda self: dlpack.CPU})()
    assert_refused(call, bad, TypeError, "Odd")


def test_the_type_has_to_have_the_method(call):
    bad = type("Odd", (), {})()
    bad.__dlpack__ = Producer(np.ones(3)).__dlpack__
    assert_refused(call, bad, TypeError, "Odd", "NumPy array", "tensor")
    assert_refused(call, Producer, TypeError, "type", "NumPy array", "tensor")
