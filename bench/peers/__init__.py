"""The peers: every other way to clip, one module per library. A peer is a line in `PEERS`."""

from collections.abc import Iterable
from importlib.util import find_spec

from bench import Refused
from bench.contenders import Contender
from bench.peers import numba, numexpr, numpy, optax, scipy, torch

PEERS: tuple[Contender, ...] = (
    numpy.SQUARE,
    numpy.DOT,
    numpy.ONE_BUFFER,
    scipy.BLAS,
    numexpr.NUMEXPR,
    numba.NUMBA,
    torch.TORCH,
    torch.TORCH_FOREACH,
    optax.OPTAX,
)
KEYS = tuple(peer.key for peer in PEERS)
USUAL = tuple(key for key in KEYS if key != torch.TORCH_FOREACH.key)  # same as torch, by default
INSTALL = "python3 -m pip install '.[peers]'"


def missing(peer: Contender) -> list[str]:
    """Return the packages that a peer needs and that are not installed."""
    return [package for package in peer.needs if find_spec(package) is None]


def choose(keys: Iterable[str] | None, usual: Iterable[str] | None = None) -> list[Contender]:
    """Return the peers of these keys in their usual order.

    Without keys, those that are installed of the `usual` ones, or of all that are usual.

    Raises
    ------
    Refused
        If a key is unknown, or what it needs is not installed.
    """
    if keys is None:
        usual = set(USUAL if usual is None else usual)
        return [peer for peer in PEERS if peer.key in usual and not missing(peer)]
    wanted = set(keys)
    if unknown := sorted(wanted - {*KEYS}):
        raise Refused(
            f"no such peers: {', '.join(unknown)} (choose from {', '.join(KEYS)}; or none)"
        )
    chosen = [peer for peer in PEERS if peer.key in wanted]
    require(*chosen)
    return chosen


def require(*contenders: Contender) -> None:
    """Raise Refused if something that one of them is made of is not installed."""
    if lacking := [package for contender in contenders for package in missing(contender)]:
        raise Refused(f"not installed: {', '.join(lacking)} ({INSTALL})")


def absent() -> list[str]:
    """Return the names of the peers that are not installed."""
    return [peer.name for peer in PEERS if peer.key in USUAL and missing(peer)]
