"""Check what an sdist and a wheel hold: python3 .ci/check_distributions.py FILE..."""

import sys
import tarfile
import zipfile
from pathlib import Path

SOURCES = {"CMakeLists.txt", "cpp/CMakeLists.txt", "cpp/bindings/module.cpp", "pyproject.toml"}
SOURCES |= {"python/gradclip/__init__.py", "tests/conftest.py", "bench/__main__.py", "LICENSE"}
INSTALLED = {"gradclip/__init__.py", "gradclip/_gradclip.pyi", "gradclip/py.typed"}


def check_sdist(path: Path) -> None:
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= SOURCES, f"{path.name} lacks {sorted(SOURCES - names)}"


def check_wheel(path: Path) -> None:
    names = {name for name in zipfile.ZipFile(path).namelist() if ".dist-info/" not in name}
    assert names >= INSTALLED, f"{path.name} lacks {sorted(INSTALLED - names)}"
    foreign = [
        name
        for name in names
        if not name.startswith("gradclip/") or not name.endswith((".py", ".pyi", ".so", "py.typed"))
    ]
    assert not foreign, f"{path.name} should not hold {foreign}"
    modules = [name for name in names if name.endswith(".so")]
    assert len(modules) == 1, f"{path.name} should hold one extension module, not {modules}"


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        (check_wheel if path.suffix == ".whl" else check_sdist)(path)
        print(f"{path.name}: as it should be")


if __name__ == "__main__":
    main()
