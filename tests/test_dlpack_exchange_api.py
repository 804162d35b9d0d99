"""DLPack's C exchange API comes before __dlpack__, and its failures are told as errors."""

import dlpack_calls
import dlpack_producers as dlpack
import numpy as np
import pytest
from buffers import unchanged
from dlpack_calls import assert_refused
from dlpack_producers import Exchanging, Producer, exchanging, table

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once
read = dlpack_calls.read
in_place_call = dlpack_calls.in_place_call
call = dlpack_calls.call


def test_a_description_is_all_that_reading_takes(read):
    tensor = Exchanging(np.ones(3))
    read([tensor])
    assert tensor.calls == ["describe"]


def test_writing_takes_an_export_for_its_flags(in_place_call):
    tensor = Exchanging(np.ones(3))
    in_place_call([tensor])
    assert tensor.calls == ["export_managed"]


def test_a_library_need_not_describe(call):
    tensor = dlpack.ExchangingWithoutDescription(np.ones(3))
    call([tensor])
    assert tensor.calls == ["export_managed"]


def test_the_exchange_api_comes_before_the_method(call):
    tensor = exchanging(table(), Producer)(np.ones(3))
    call([tensor])
    assert len(tensor.calls) == 1
    assert tensor.calls[0] in ("describe", "export_managed")


@pytest.mark.parametrize("version", [(0, 9), (2, 0), (3, 4)])
def test_earlier_major_versions_are_found(call, version):
    chain = table(version, table((7, 0), table((1, 3)), None, None), None, None)
    tensor = exchanging(chain)(np.array([3.0, 4.0]))
    call([tensor])
    assert len(tensor.calls) == 1


NO_APIS = {
    "other versions": lambda: table((2, 0), table((3, 0), None, None, None), None, None),
    "another name": lambda: dlpack.api_capsule(table(), b"dlpack_exchange"),
    "no capsule": lambda: 3.0,
    "None": lambda: None,
}


@pytest.mark.parametrize("api", NO_APIS.values(), ids=NO_APIS)
def test_without_an_exchange_api_of_version_1_the_method_is_called(call, api):
    tensor = exchanging(api(), Producer)(np.ones(3))
    call([tensor])
    assert tensor.calls == [{"max_version": (1, 2)}]


@pytest.mark.parametrize("api", NO_APIS.values(), ids=NO_APIS)
def test_without_either_it_is_no_array(call, api):
    bad = exchanging(api())(np.ones(3))
    assert_refused(call, bad, TypeError, "Exchanging", "NumPy array", "tensor")


class Failing:
    """Its functions are a call of __delitem__, see dlpack_producers."""

    def __init__(self, error):
        self.error = error

    def __delitem__(self, address):
        raise self.error


FAILING = {
    "export": exchanging(table(describe=None, export_managed=dlpack.CALL_DELITEM), Failing),
    "both": exchanging(
        table(describe=dlpack.CALL_DELITEM, export_managed=dlpack.CALL_DELITEM), Failing
    ),
}


@pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
def test_errors_of_the_functions_are_told_in_a_line(call, failing):
    bad = failing(BufferError("can not,\nby no means"))
    assert "means" not in assert_refused(call, bad, TypeError, "Exchanging", "can not,")


@pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_errors_of_the_functions_that_are_no_answer_go_through(call, failing, error):
    good = np.full(5, 3.0)
    with unchanged(good), pytest.raises(error):
        call([good, failing(error())])


def test_an_export_of_another_version(in_place_call):
    bad = Exchanging(np.ones(3), version=(2, 1))
    assert_refused(in_place_call, bad, TypeError, "version is 2.1")


def test_functions_that_say_nothing_about_their_failure(call):
    fails = dlpack.FUNCTION(lambda producer, address: -1)
    bad = exchanging(table(describe=fails, export_managed=fails))(np.ones(3))
    good = np.full(5, 3.0)
    with unchanged(good), pytest.raises((TypeError, RuntimeError, SystemError)):
        call([good, bad])


def test_exports_of_nothing(in_place_call):
    nothing = dlpack.FUNCTION(lambda producer, address: 0)
    bad = exchanging(table(describe=None, export_managed=nothing))(np.ones(3))
    assert_refused(in_place_call, bad, TypeError, "Exchanging")
