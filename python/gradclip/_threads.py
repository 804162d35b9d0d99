"""The thread limit of a block of code."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager

from gradclip._gradclip import _set_thread_limit


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Limit the threads of calls that the current thread makes within a ``with`` block.

    Other threads are not affected. Blocks may be nested.

    Parameters
    ----------
    n : int
        From 1 to 1024, the calling thread included.

    Raises
    ------
    TypeError, ValueError
        On entry: n is no integer, or out of range.

    Examples
    --------
    >>> import gradclip
    >>> with gradclip.threads(1):
    ...     gradclip.get_num_threads()
    1
    """
    previous = _set_thread_limit(operator.index(n))
    try:
        yield
    finally:
        _set_thread_limit(previous or None)
