"""What gradclip promises, the tests that enforce each promise, and how many cases they try.

    python3 tests/guarantees.py BUILD

runs all tests, those in C++ from the folder BUILD, and writes docs/guarantees.md. It takes minutes;
torch and the trainers have to be installed.
"""

import ast
import itertools
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "guarantees.md"
TITLE = "# Guarantees, and the tests that enforce them"
ABOUT = """\
A case is a test with its parameters or, where a test goes through many of them by itself, what it
counts; in C++, an assertion. `python3 tests/guarantees.py BUILD` ran them all, on an x86-64
processor with AVX-512, and wrote this page."""


@dataclass(frozen=True)
class Promise:
    """A promise, and the names of its tests without `test_` and suffix."""

    text: str
    tests: str

    @property
    def files(self) -> list[Path]:
        """The files of the tests."""
        return [_file(name) for name in self.tests.split()]


def _file(name: str) -> Path:
    folder, _, stem = name.rpartition("/")
    return HERE / folder / f"test_{stem}{'.cpp' if folder == 'cpp' else '.py'}"


PROMISES = [
    Promise(
        "The norm is right: to 2⁻⁴⁴ for float32 and 16 bits, to 1 ulp for float64, at any length.",
        "norm_accuracy norm_grid norm_large array_norms grad_stats half complex oracle cpp/kernels "
        "cpp/count_kernels cpp/pair_kernels cpp/half cpp/partial cpp/root cpp/norms",
    ),
    Promise(
        "Nothing overflows or underflows on the way to a norm that float64 can hold.",
        "norm_range cpp/power_roots",
    ),
    Promise(
        "NaN beats inf beats finite, wherever they are; a norm that is not finite raises, "
        "skips, zeroes or propagates.",
        "nonfinite nonfinite_positions nonfinite_edges cpp/nonfinite_kernels pytorch/torch_errors",
    ),
    Promise(
        "Norms of other orders are right to their bounds.",
        "orders orders_range orders_clip cpp/max_kernels cpp/power_kernels cpp/orders "
        "cpp/order_norms cpp/clip_orders",
    ),
    Promise(
        "The exact norm of what is written is never above max_norm, nor more than 4 ε below it.",
        "exact_bound exact_bound_range bound_every_call bound_extremes bound_search inv_scale "
        "pytorch/tensor_bound cpp/clip cpp/factor cpp/steps cpp/scale_kernels",
    ),
    Promise(
        "A norm that is not above max_norm leaves every byte, and its page, alone.",
        "no_write clip_semantics pytorch/promises",
    ),
    Promise(
        "A clip is min(1, max_norm / (norm + eps)) · g, by whichever call.",
        "clip_with_norm callable functional scale properties properties_scaling clip_by_value "
        "cpp/values cpp/clamp cpp/clamp_kernels",
    ),
    Promise(
        "Each example of a batch, and each unit of a layer, is clipped as a list of its own would "
        "be; sums and steps are the formula's, but for the documented rounding.",
        "per_example per_example_sum adaptive_grad_clip sgd_step sgd_step_refusals "
        "clip_by_norm clip_by_axis clip_columns pytorch/sgd_step_torch pytorch/family_tensors "
        "cpp/units cpp/examples cpp/update_kernels",
    ),
    Promise(
        "Thresholds that follow a run are those of the papers, and go on alike from a checkpoint; "
        "what is recorded of a run survives a crash.",
        "autoclip zclip norm_history norm_plot pytorch/clip_by_function",
    ),
    Promise(
        "The same arrays give the same bits on any threads, instruction set and alignment.",
        "bits shapes random_views fuzz cpp/work cpp/dispatch",
    ),
    Promise(
        "Arrays of every layout are changed in place, and no byte around them is.",
        "layouts array_kinds subclasses memmaps huge_in_place guard_pages cpp/span cpp/strided "
        "cpp/passes dlpack_layouts",
    ),
    Promise(
        "Bad input is refused by an error that names the array and the remedy.",
        "arguments bad_input hazards paths nesting unsupported_dtypes dlpack_refusals "
        "pytorch/tensor_refusals",
    ),
    Promise(
        "After an error no byte has changed, and errors come in a fixed order.",
        "validation_order arrays_that_change resized_meanwhile changed_by_threads "
        "hostile_objects dlpack_hostile dlpack_changes pytorch/hostile_tensors",
    ),
    Promise(
        "Arrays that share a byte are never written; arrays that only interleave are.",
        "overlap self_overlap every_offset dlpack_overlap cpp/overlap pytorch/tensor_memory",
    ),
    Promise(
        "The caller's floating-point mode has no influence, and is left as it was, flags too.",
        "fp_environment fp_environment_grid fp_environment_callable cpp/fp_environment "
        "cpp/fp_workers",
    ),
    Promise(
        "Memory and references that a call takes are given back, after errors too.",
        "memory a_million_calls exact_references no_memory dlpack_lifetime "
        "pytorch/tensor_references",
    ),
    Promise(
        "Threads, forks, signals and exits: no hang, no crash, the right result.",
        "threads thread_load processes forks exit signals interrupts no_threads threadpoolctl "
        "pytorch/busy_torch cpp/pool cpp/fork cpp/affinity cpp/cpu_count",
    ),
    Promise(
        "Tensors of other libraries are read through DLPack as NumPy's arrays are.",
        "dlpack_tensors dlpack_capsules dlpack_exchange_api jax bfloat16_import pytorch/tensors "
        "pytorch/older_torch",
    ),
    Promise(
        "gradclip.torch does what torch's functions do, or leaves the call to them.",
        "pytorch/differential pytorch/semantics pytorch/norm_tensor pytorch/handed_over "
        "pytorch/handed_over_arguments pytorch/where_torch_is_wrong pytorch/where_torch_refuses "
        "pytorch/on_every_isa cpp/ratio_plan",
    ),
    Promise(
        "Autograd, compiled steps, optimizers and trainers work as with torch's functions.",
        "pytorch/autograd pytorch/version_counters pytorch/compile pytorch/training "
        "pytorch/install pytorch/installed_functions pytorch/trainers",
    ),
    Promise(
        "The interface is as documented: names, signatures, examples, environment, imports.",
        "public_api docstrings pages environment import guarantees pytorch/torch_docstrings "
        "pytorch/torch_import",
    ),
]


class Count:
    """A pytest plugin that counts the cases that passed, by file.

    A test that tries many cases says how many in its property `cases`.
    """

    def __init__(self) -> None:
        self.cases: Counter[Path] = Counter()

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" and report.passed:
            cases = dict(report.user_properties).get("cases", 1)
            self.cases[HERE.parent / report.nodeid.partition("::")[0]] += cases


def _python_cases() -> Counter[Path]:
    import pytest

    count = Count()
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "--deselect",
        "tests/test_guarantees.py::TestThePage",
    ]
    if status := pytest.main([*options, str(HERE)], plugins=[count]):
        raise SystemExit(int(status))
    return count.cases


def _cpp_cases(build: Path) -> Counter[Path]:
    """Return the number of assertions in each C++ test."""
    cases: Counter[Path] = Counter()
    for file in sorted((HERE / "cpp").glob("test_*.cpp")):
        program = build / "tests" / "cpp" / file.stem
        output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        (assertions,) = re.findall(r"assertions:\s*(\d+)", output)
        cases[file] = int(assertions)
    return cases


def subject(file: Path) -> str:
    """Return what a file of tests says of itself in its first sentence."""
    text = file.read_text("utf-8")
    if file.suffix == ".py":
        about = ast.get_docstring(ast.parse(text)) or ""
    else:
        comment = itertools.takewhile(lambda line: line.startswith("//"), text.splitlines())
        about = "\n".join(line.removeprefix("//").strip() for line in comment)
    paragraph = " ".join(about.partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".") + "."


def page(cases: Counter[Path]) -> str:
    """Return docs/guarantees.md."""
    lines = [TITLE, "", ABOUT, ""]
    for promise in PROMISES:
        total = sum(cases[file] for file in promise.files)
        lines += [f"## {promise.text}", "", f"{total:,} cases.", ""]
        lines += ["| test | subject | cases |", "| --- | --- | ---: |"]
        for file in promise.files:
            name = file.relative_to(HERE)
            lines.append(f"| [{name}](../tests/{name}) | {subject(file)} | {cases[file]:,} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    PAGE.write_text(page(_python_cases() + _cpp_cases(Path(sys.argv[1]))), "utf-8")


if __name__ == "__main__":
    main()
