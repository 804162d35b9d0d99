"""threadpoolctl sees and limits the pool, once gradclip.threadpoolctl is imported."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from subprocesses import output_of
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

import gradclip
import gradclip.threadpoolctl


def ours():
    (info,) = [info for info in threadpool_info() if info["user_api"] == "gradclip"]
    return info


def test_the_pool_is_listed():
    gradclip.set_num_threads(3)
    info = ours()
    assert info["filepath"] == gradclip._gradclip.__file__
    assert (info["internal_api"], info["prefix"]) == ("gradclip", "_gradclip")
    assert (info["version"], info["num_threads"]) == (gradclip.__version__, 3)


@pytest.mark.parametrize("limits", [1, {"gradclip": 1}])
def test_a_limit_holds_in_its_block_and_in_every_thread(limits):
    gradclip.set_num_threads(5)
    with threadpool_limits(limits), ThreadPoolExecutor(1) as pool:
        assert gradclip.get_num_threads() == 1
        assert pool.submit(gradclip.get_num_threads).result() == 1
    assert gradclip.get_num_threads() == 5


def test_other_libraries_may_be_limited_alone():
    gradclip.set_num_threads(5)
    with threadpool_limits(1, user_api="blas"):
        assert gradclip.get_num_threads() == 5


def test_a_controller_limits_and_wraps():
    gradclip.set_num_threads(4)
    controller = ThreadpoolController().select(user_api="gradclip")
    assert len(controller) == 1
    assert controller.wrap(limits=2)(gradclip.get_num_threads)() == 2
    assert gradclip.get_num_threads() == 4


def test_blocks_of_either_kind_may_be_nested():
    gradclip.set_num_threads(6)
    with gradclip.threads(2):
        assert ours()["num_threads"] == 6
        with threadpool_limits(3, user_api="gradclip"):
            assert gradclip.get_num_threads() == 2
            assert ours()["num_threads"] == 3
        assert gradclip.get_num_threads() == 2
    assert gradclip.get_num_threads() == 6


def test_a_limit_above_the_most_threads_is_the_most():
    with threadpool_limits(100_000, user_api="gradclip"):
        assert gradclip.get_num_threads() == 1024


def test_a_limit_changes_no_bit():
    grads = np.linspace(-1, 1, 1_000_003)
    with threadpool_limits(1):
        one = gradclip.global_norm(grads)
    gradclip.set_num_threads(4)
    assert gradclip.global_norm(grads) == one


def test_libraries_may_be_listed_before_the_import():
    code = """
    import threadpoolctl, gradclip
    assert not [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "gradclip"]
    gradclip.threadpoolctl
    print(len([i for i in threadpoolctl.threadpool_info() if i["user_api"] == "gradclip"]))
    """
    assert output_of(code) == "1"
