"""The thread limit of a block of code."""

import operator
from types import TracebackType
from typing import Self

from gradclip._gradclip import _set_thread_limit


class threads:
    """Limit the threads of calls that the current thread makes within a ``with`` block.

    Other threads are not affected. Blocks may be nested.

    Parameters
    ----------
    n : int
        From 1 to 1024, the calling thread included.

    Raises
    ------
    TypeError, ValueError
        n is no integer, or, on entry, out of range.

    Examples
    --------
    >>> import gradclip
    >>> with gradclip.threads(1):
    ...     gradclip.get_num_threads()
    1
    """

    def __init__(self, n: int) -> None:
        self._n = operator.index(n)
        self._previous: list[int] = []

    def __enter__(self) -> Self:
        self._previous.append(_set_thread_limit(self._n))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _set_thread_limit(self._previous.pop() or None)
