"""The benchmark harness: gradclip against the other ways to clip gradients.

Run it from the checkout with ``python3 -m bench``; ``bench/README.md`` says how it measures.
"""


class Refused(Exception):
    """What was asked for cannot be done; the message says why."""
