"""What an import of gradclip does, and what it leaves alone."""

import sys

import pytest
from subprocesses import output_of


def test_optional_packages_are_not_imported():
    code = """
    import sys
    import gradclip
    extras = {"torch", "jax", "ml_dtypes", "threadpoolctl", "matplotlib", "rich", "scipy"}
    print(sorted(extras & set(sys.modules)))
    """
    assert output_of(code) == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_no_thread_is_started():
    code = """
    import os
    import numpy
    before = len(os.listdir("/proc/self/task"))
    import gradclip
    gradclip.get_num_threads()
    gradclip.show_config("dicts")
    print(len(os.listdir("/proc/self/task")) - before)
    """
    assert output_of(code, GRADCLIP_NUM_THREADS="8") == "0"


def test_the_floating_point_flags_of_numpy_stay():
    code = """
    import numpy, warnings
    warnings.simplefilter("error")
    numpy.seterr(all="raise")
    import gradclip
    print(numpy.float32(1e-45) != 0, numpy.float64(5e-324) != 0)
    """
    assert output_of(code) == "True True"
