"""Developers' sessions: `nox -l` lists them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types", "cpp", "mutants(command='promises')"]
PROJECT = nox.project.load_toml("pyproject.toml")

VALGRIND = ["max_kernels", "scale_kernels", "strided"]  # 10 to 20 s each
# Shadow memory is beyond any limit on memory, what is freed is kept for a while, and what lies out
# of bounds is reported in another way than by a signal.
NO_ASAN = [
    "test_no_memory.py",
    "test_no_threads.py::test_memory_for_few_stacks_or_not_for_the_pool_itself",
    "test_a_million_calls.py",
    "test_exact_references.py",
    "test_guard_pages.py::test_the_pages_around_are_really_out_of_bounds",
]
ASAN_BUILD = [
    "--config-settings=cmake.define.GRADCLIP_SANITIZE=address,undefined",
    "--config-settings=install.strip=false",
]


@nox.session
def tests(session: nox.Session) -> None:
    """The Python suite."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def pytorch(session: nox.Session) -> None:
    """The tests with PyTorch and the trainers that clip."""
    session.install(".[test,torch]", *nox.project.dependency_groups(PROJECT, "trainers"))
    session.run("pytest", "tests/pytorch", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, and the stub against the built module."""
    session.install(".[bench,torch]", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("mypy")
    options = ["--mypy-config-file=pyproject.toml", "--allowlist=.ci/stubtest_allowlist"]
    session.run("python", "-m", "mypy.stubtest", "gradclip", *options)


@nox.session
@nox.parametrize("sanitizers", ["address,undefined", "thread"])
def cpp(session: nox.Session, sanitizers: str) -> None:
    """The C++ tests under sanitizers."""
    build = _build_cpp(session, f"-DGRADCLIP_SANITIZE={sanitizers}")
    # GCC 12's ThreadSanitizer can't do with as much address randomness as newer kernels have.
    plain_addresses = ["setarch", "-R"] if sanitizers == "thread" else []
    ctest = ["ctest", "--test-dir", build, "--output-on-failure"]
    session.run(*plain_addresses, *ctest, external=True)


@nox.session
def valgrind(session: nox.Session) -> None:
    """The kernels' tests under memcheck, but for AVX-512, which Valgrind does not know."""
    tests = [f"test_{name}" for name in VALGRIND]
    build = _build_cpp(session, "-DGRADCLIP_HAVE_AVX512=OFF", targets=tests)
    for test in tests:
        program = f"{build}/tests/cpp/{test}"
        session.run("valgrind", "--error-exitcode=1", "-q", program, "--minimal", external=True)


def _build_cpp(session: nox.Session, *options: str, targets: Sequence[str] = ("all",)) -> str:
    session.install(*nox.project.dependency_groups(PROJECT, "build"))
    build = session.create_tmp()
    options = ("-DGRADCLIP_PYTHON=OFF", "-DGRADCLIP_TESTS=ON", *options)
    session.run("cmake", "-S", ".", "-B", build, "-G", "Ninja", *options)
    session.run("cmake", "--build", build, "--target", *targets)
    return build


@nox.session
def asan(session: nox.Session) -> None:
    """The Python suite, and the fuzzer, with the module under address and UB sanitizers."""
    session.install(".[test]", *ASAN_BUILD)
    files = session.posargs or map(str, sorted(Path("tests").glob("test_*.py")))
    left_out = [f"--deselect=tests/{test}" for test in NO_ASAN]
    environment = {
        # Before the interpreter's own, and before what throws exceptions.
        "LD_PRELOAD": " ".join(map(_library_of_gcc, ["libasan.so", "libubsan.so", "libstdc++.so"])),
        "PYTHONMALLOC": "malloc",  # else arrays and objects lie in Python's arenas, without bounds
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    session.run("pytest", "-p", "no:cacheprovider", *left_out, *files, env=environment)
    session.run("python", "tests/fuzz.py", "--seconds", "60", env=environment)


def _library_of_gcc(name: str) -> str:
    command = ["gcc", f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@nox.session
def fuzz(session: nox.Session) -> None:
    """Random calls against the scalar code: `nox -s fuzz -- --seconds 3600`."""
    session.install(".[test]")
    session.run("python", "tests/fuzz.py", *session.posargs)


@nox.session
@nox.parametrize("command", ["promises", "generated"])
def mutants(session: nox.Session, command: str) -> None:
    """Break the library on purpose and see a test fail; `generated` takes hours."""
    session.install(".[test,torch]", *nox.project.dependency_groups(PROJECT, "mutation"))
    session.run("python", "tests/mutation", command, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The pages of documentation, as HTML in build/docs."""
    session.install(".[threadpoolctl,torch]", *nox.project.dependency_groups(PROJECT, "docs"))
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-b", "html", "docs", "build/docs")


@nox.session
def bench(session: nox.Session) -> None:
    """Guard the speed: a few ratios to NumPy, each above a floor."""
    session.install(".[bench]", *nox.project.dependency_groups(PROJECT, "bench"))
    session.run("pytest", "bench/test_regression.py", *session.posargs)
