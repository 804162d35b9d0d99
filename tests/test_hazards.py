"""Every bad leaf at every place, alone and two at once: the first is named, none written."""

import collections
import itertools

import dlpack_calls
import numpy as np
import pytest
from buffers import digest, owner
from calls import ALL, ALL_IN_PLACE, FRESH
from dlpack_producers import READ_ONLY, Exchanging, OldProducer, Producer
from numpy.lib.stride_tricks import as_strided

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once

Pair = collections.namedtuple("Pair", "w b")


def nested(a, b, c, d, e):
    return {"list": [a, None, b], "deep": [[{"tuple": (c,)}]], "named": Pair(None, d), "last": e}


PATHS = [
    "grads['list'][0]",
    "grads['list'][2]",
    "grads['deep'][0][0]['tuple'][0]",
    "grads['named'][1]",
    "grads['last']",
]

# A leaf over an array, the error in every call, and the error that only calls in place raise.
HAZARDS = {
    "integers": (lambda a: a.view("i8"), TypeError, None),
    "foreign byte order": (lambda a: a.view(a.dtype.newbyteorder()), TypeError, None),
    "records": (lambda a: a.view([("x", "f4"), ("y", "f4")]), TypeError, None),
    "a recarray": (lambda a: a.view([("x", "f8")]).view(np.recarray), TypeError, None),
    "masked": (lambda a: np.ma.array(a, copy=False), TypeError, None),
    "a scalar": (lambda a: a[0], TypeError, None),
    "a generator": (lambda a: (x for x in [a]), TypeError, None),
    "an iterator of arrays": (lambda a: iter([a]), TypeError, None),
    "a device": (lambda a: Producer(a, says=(2, 0)), ValueError, None),
    "integers by DLPack": (lambda a: Exchanging(a, dtype=(0, 64, 1)), TypeError, None),
    "read-only": (lambda a: np.broadcast_to(a, (1, 8)), None, ValueError),
    "overlapping itself": (lambda a: as_strided(a, (3, 3), (8, 8)), None, ValueError),
    "read-only by DLPack": (lambda a: Producer(a, flags=READ_ONLY), None, ValueError),
    "read-only by the exchange API": (lambda a: Exchanging(a, flags=READ_ONLY), None, ValueError),
    "without a version": (OldProducer, None, ValueError),
}


def error_of(leaf, kind, call):
    """Return what a call raises for a leaf of this kind; None if it takes it."""
    _, always, in_place = HAZARDS[kind]
    if call in FRESH and isinstance(leaf, Producer | Exchanging):
        return TypeError
    return always or (in_place if call in ALL_IN_PLACE else None)


def is_first_named(name, faults):
    """Assert it for these faults, kinds by place, before an overlap and a NaN in the other leaves.
    Return False if there is nothing to refuse."""
    memory = [np.full(8, 2.0) for _ in PATHS]
    others = [place for place in range(len(PATHS)) if place not in faults]
    leaves = [memory[others[0]] if place in others else memory[place] for place in range(5)]
    for place, kind in faults.items():
        leaves[place] = HAZARDS[kind][0](memory[place])
    memory[others[0]][-1] = np.nan
    errors = {p: error_of(leaves[p], faults[p], name) for p in sorted(faults)}
    expected = [(p, error) for p, error in errors.items() if error]
    if not expected:
        if name not in ALL_IN_PLACE:
            return False
        expected = [(others[0], ValueError)]  # the others are one array
    path, error = PATHS[expected[0][0]], expected[0][1]
    before = digest(*map(owner, memory))
    with pytest.raises(error) as raised:
        ALL[name](nested(*leaves))
    assert type(raised.value) is error
    message = str(raised.value)
    assert message.startswith(path), message
    assert not message.startswith(path + "["), message
    assert digest(*map(owner, memory)) == before
    return True


@pytest.mark.parametrize("name", ALL)
def test_a_fault_is_named_wherever_it_is(name, record_property):
    kinds = itertools.product(HAZARDS, range(5))
    cases = sum(is_first_named(name, {place: kind}) for kind, place in kinds)
    assert cases >= 5 * 10
    record_property("cases", cases)


@pytest.mark.parametrize("name", ALL)
def test_of_two_faults_the_first_is_named(name, record_property):
    kinds = itertools.product(HAZARDS, HAZARDS, itertools.combinations(range(5), 2))
    cases = sum(
        is_first_named(name, {later: second, place: first})
        for first, second, (place, later) in kinds
    )
    assert cases >= 10 * 10 * 10
    record_property("cases", cases)
