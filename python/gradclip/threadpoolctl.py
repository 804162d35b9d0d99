"""Let `threadpoolctl <https://github.com/joblib/threadpoolctl>`__ see and limit gradclip's threads.

An import of this module registers gradclip with threadpoolctl, under the API name "gradclip":

>>> import gradclip.threadpoolctl
>>> from threadpoolctl import threadpool_limits
>>> with threadpool_limits(limits=1, user_api="gradclip"):
...     gradclip.get_num_threads()
1

A limit holds for the whole process, as `set_num_threads` does, except in `threads` blocks.
"""

from threadpoolctl import LibController, register

import gradclip
from gradclip._gradclip import _set_thread_limit

__all__: list[str] = []

_MOST_THREADS = 1024


class _Controller(LibController):  # type: ignore[misc]
    """What threadpoolctl knows of gradclip."""

    user_api = internal_api = "gradclip"
    filename_prefixes = ("_gradclip",)

    def get_num_threads(self) -> int:
        """Return the number of threads of the process, whatever block this thread is in."""
        limit = _set_thread_limit(None)
        try:
            return gradclip.get_num_threads()
        finally:
            _set_thread_limit(limit or None)

    def set_num_threads(self, num_threads: int) -> None:
        """Set the number of threads of the process."""
        gradclip.set_num_threads(min(num_threads, _MOST_THREADS))

    def get_version(self) -> str:
        """Return the version of gradclip."""
        return gradclip.__version__


register(_Controller)
