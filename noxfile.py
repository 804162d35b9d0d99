"""Developers' sessions: `nox -l` lists them."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types", "cpp", "mutants(promises)"]
PROJECT = nox.project.load_toml("pyproject.toml")


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
    session.run("python", "-m", "mypy.stubtest", "gradclip")


@nox.session
@nox.parametrize("sanitizers", ["address,undefined", "thread"])
def cpp(session: nox.Session, sanitizers: str) -> None:
    """The C++ tests under sanitizers."""
    session.install(*nox.project.dependency_groups(PROJECT, "build"))
    build = session.create_tmp()
    options = ["-DGRADCLIP_PYTHON=OFF", "-DGRADCLIP_TESTS=ON", f"-DGRADCLIP_SANITIZE={sanitizers}"]
    session.run("cmake", "-S", ".", "-B", build, "-G", "Ninja", *options)
    session.run("cmake", "--build", build)
    session.run("ctest", "--test-dir", build, "--output-on-failure")


@nox.session
@nox.parametrize("command", ["promises", "generated"])
def mutants(session: nox.Session, command: str) -> None:
    """Break the library on purpose and see a test fail; `generated` takes hours."""
    session.install(".[test,torch]", *nox.project.dependency_groups(PROJECT, "mutation"))
    session.run("python", "tests/mutation", command, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Guard the speed: a few ratios to NumPy, each above a floor."""
    session.install(".[bench]", *nox.project.dependency_groups(PROJECT, "bench"))
    session.run("pytest", "bench/test_regression.py", *session.posargs)
