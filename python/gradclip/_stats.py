"""What gradients hold."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradclip._gradclip import _grad_stats


class GradStats(NamedTuple):
    """What `grad_stats` returns; printed, it is a table.

    Attributes
    ----------
    norm : float
        The global norm.
    array_norms : numpy.ndarray
        float64, shape (n,): the norm of each of n arrays, as `array_norms` gives them.
    max_abs : float
        The largest absolute value; NaN if an element is.
    zeros, nans, infs : int
        The number of elements that are zero; that are, or have a part that is, NaN; and of others
        that are infinite or have a part that is.
    first_bad : str or None
        The path of the first array that holds an inf or NaN, as in ``grads['encoder'][0]``.
    paths : list of str
        The path of each array.

    Examples
    --------
    >>> import numpy as np, gradclip
    >>> gradclip.grad_stats(np.array([3.0, -4.0]))._asdict()["max_abs"]
    4.0
    """

    norm: float
    array_norms: NDArray[np.float64]
    max_abs: float
    zeros: int
    nans: int
    infs: int
    first_bad: str | None
    paths: list[str]

    def __str__(self) -> str:
        counts = (("zeros", self.zeros), ("nans", self.nans), ("infs", self.infs))
        rows = [
            *(
                (path, f"{norm:.6g}")
                for path, norm in zip(self.paths, self.array_norms, strict=True)
            ),
            ("norm", f"{self.norm:.6g}"),
            ("max abs", f"{self.max_abs:.6g}"),
            *((name, str(count)) for name, count in counts),
        ]
        if self.first_bad is not None:
            rows.append(("first bad", self.first_bad))
        names, values = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(f"{name:<{names}}  {value:>{values}}" for name, value in rows)


def grad_stats(grads: Any) -> GradStats:
    """Look at gradients in one pass.

    Parameters
    ----------
    grads : array or nesting of list, tuple and dict of arrays
        As for `global_norm`. They are only read.

    Returns
    -------
    GradStats
        A named tuple of norm, array_norms, max_abs, zeros, nans, infs, first_bad and paths. Inf
        and NaN are counted and never an error.

    Raises
    ------
    TypeError, ValueError
        As for `global_norm`.

    Examples
    --------
    >>> import numpy as np, gradclip
    >>> stats = gradclip.grad_stats({"w": np.array([3.0, 0.0, -4.0]), "b": np.array([12.0])})
    >>> stats.norm, stats.max_abs, stats.zeros, stats.first_bad
    (13.0, 12.0, 1, None)
    >>> print(stats)
    grads['w']   5
    grads['b']  12
    norm        13
    max abs     12
    zeros        1
    nans         0
    infs         0
    """
    return GradStats(*_grad_stats(grads))
