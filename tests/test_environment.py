"""Environment variables, in processes of their own."""

import os

import pytest
from subprocesses import output_of, run_python

import gradclip

NUM_THREADS = "import gradclip; print(gradclip.get_num_threads())"
ISA_IN_USE = "import gradclip; print(gradclip.show_config('dicts')['isa']['in_use'])"

ISAS = gradclip.show_config("dicts")["isa"]["available"]
KNOWN_ISAS = ["scalar", "avx2", "avx512", "neon"]


def import_error_of(**environment):
    """Return the last line of a failed import."""
    done = run_python("import gradclip", **environment)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    return last


@pytest.fixture(scope="module")
def default_num_threads():
    return int(output_of(NUM_THREADS))


@pytest.mark.parametrize("isa", ISAS)
def test_a_forced_instruction_set_is_in_use(isa):
    assert output_of(ISA_IN_USE, GRADCLIP_ISA=isa) == isa


@pytest.mark.parametrize("isa", ISAS)
def test_a_forced_instruction_set_computes(isa):
    code = "import gradclip, numpy; print(gradclip.global_norm(numpy.full(10_000, 0.5)))"
    assert output_of(code, GRADCLIP_ISA=isa) == "50.0"


def test_the_best_instruction_set_is_the_default():
    assert output_of(ISA_IN_USE) == ISAS[0]
    assert output_of(ISA_IN_USE, GRADCLIP_ISA="") == ISAS[0]


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "avx2,scalar", "0", "auto"])
def test_an_unknown_instruction_set_is_an_import_error(isa):
    message = import_error_of(GRADCLIP_ISA=isa)
    assert f"GRADCLIP_ISA={isa} " in message
    assert message.endswith("choose one of " + ", ".join(ISAS))


@pytest.mark.parametrize("isa", sorted(set(KNOWN_ISAS) - set(ISAS)))
def test_an_instruction_set_of_other_machines_is_an_import_error(isa):
    message = import_error_of(GRADCLIP_ISA=isa)
    assert "GRADCLIP_ISA" in message
    assert all(choice in message for choice in ISAS)


@pytest.mark.parametrize("count", ["1", "3", "64", "1024"])
def test_a_thread_count_is_honoured_above_the_core_count_too(count):
    assert output_of(NUM_THREADS, GRADCLIP_NUM_THREADS=count) == count


@pytest.mark.parametrize(
    "count", ["0", "-1", "1025", "2.0", "two", "1,2", "3x", "0x2", "1e1", "9" * 30, "-" + "9" * 30]
)
def test_a_bad_thread_count_is_an_import_error(count):
    message = import_error_of(GRADCLIP_NUM_THREADS=count)
    assert "GRADCLIP_NUM_THREADS" in message
    assert "1024" in message


@pytest.mark.parametrize("variable", ["GRADCLIP_ISA", "GRADCLIP_NUM_THREADS"])
def test_messages_show_what_they_can_of_a_value(variable):
    assert f"{variable}= ~a?b?c " in import_error_of(**{variable: " ~a\tb\x7fc"})


def test_an_empty_thread_count_is_none(default_num_threads):
    assert int(output_of(NUM_THREADS, GRADCLIP_NUM_THREADS="")) == default_num_threads
    assert output_of(NUM_THREADS, GRADCLIP_NUM_THREADS="", OMP_NUM_THREADS="7") == "7"


@pytest.mark.parametrize(("omp", "count"), [("4,2", "4"), ("1", "1"), ("7", "7"), ("3,", "3")])
def test_the_first_number_of_openmp_is_honoured(omp, count):
    assert output_of(NUM_THREADS, OMP_NUM_THREADS=omp) == count


def test_our_own_variable_comes_before_that_of_openmp():
    assert output_of(NUM_THREADS, OMP_NUM_THREADS="4", GRADCLIP_NUM_THREADS="3") == "3"


@pytest.mark.parametrize("omp", ["", "garbage", ",2", "-", "+", "\n", "no 4", "é"])
def test_what_is_no_number_for_openmp_is_ignored(omp, default_num_threads):
    assert int(output_of(NUM_THREADS, OMP_NUM_THREADS=omp)) == default_num_threads


@pytest.mark.parametrize("omp", ["0", "-3", "5000", "9" * 40, "-" + "9" * 40, "1.5", "2x", " 2 "])
def test_strange_numbers_for_openmp_never_fail(omp):
    assert 1 <= int(output_of(NUM_THREADS, OMP_NUM_THREADS=omp)) <= 1024


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs processor affinity")
class TestDefault:
    def test_no_more_threads_than_usable_processors(self, default_num_threads):
        assert 1 <= default_num_threads <= len(os.sched_getaffinity(0))

    def test_one_processor_gives_one_thread(self):
        code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        assert output_of(code + NUM_THREADS) == "1"
