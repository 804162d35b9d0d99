"""The benchmark harness: gradclip against NumPy's and SciPy's ways to clip gradients.

Run it from the checkout with ``python3 -m bench``; ``bench/README.md`` says how it measures.
"""
