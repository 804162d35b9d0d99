"""Build the library with every change in it, each asleep until it is called by its number."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pybind11
from find import Change

# `reached` tells which changes a test could have noticed. Constant expressions stay as they are.
DECLARATIONS = """
extern "C" __attribute__((visibility("default"))) int gradclip_mutant;
extern "C" __attribute__((visibility("default"))) unsigned char gradclip_reached[];
static constexpr bool gradclip_is(int i) {
  if (__builtin_is_constant_evaluated()) return false;
  gradclip_reached[i] = 1;
  return gradclip_mutant == i;
}
"""
DEFINITIONS = """
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>
static int mutant_from_environment() {
  const char* number = std::getenv("GRADCLIP_MUTANT");
  return number ? std::atoi(number) : -1;
}
int gradclip_mutant = mutant_from_environment();
unsigned char gradclip_reached[%d];
extern "C" __attribute__((visibility("default"), destructor)) void gradclip_write_reached() {
  const char* folder = std::getenv("GRADCLIP_REACHED");
  if (!folder) return;
  const std::string path = std::string(folder) + "/" + std::to_string(getpid());
  if (std::FILE* file = std::fopen(path.c_str(), "wb")) {
    std::fwrite(gradclip_reached, 1, sizeof gradclip_reached, file);
    std::fclose(file);
  }
}
"""
ERROR = re.compile(r"^(/.*?):(\d+):\d+: error", re.MULTILINE)


def configure(source: Path, build: Path, *options: str) -> None:
    """Run cmake."""
    options = (
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        f"-DPython_EXECUTABLE={sys.executable}",
        *options,
    )
    command = ["cmake", "-S", source, "-B", build, "-G", "Ninja", "-DGRADCLIP_TESTS=ON", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def build_with(changes: Sequence[Change], root: Path, work: Path) -> list[Change]:
    """Build a copy of the tree; return the changes that compile: a number is an index."""
    source, build = work / "source", work / "build"
    skip = shutil.ignore_patterns(".git", "build", "__pycache__", ".venv")
    shutil.copytree(root, source, ignore=skip, dirs_exist_ok=True)
    header = work / "mutant.hpp"
    header.write_text(DECLARATIONS)
    configure(
        source,
        build,
        f"-DCMAKE_CXX_FLAGS=-include {header} -w",
        "-DCMAKE_BUILD_TYPE=None",
        "-DCMAKE_CXX_FLAGS_NONE=-O1",
    )
    kept = list(changes)
    while True:
        _write(kept, root, source)
        done = subprocess.run(
            ["cmake", "--build", build, "--", "-k", "0"], capture_output=True, text=True
        )
        if done.returncode == 0:
            return kept
        wrong = _that_do_not_compile(done.stdout, kept, root, source)
        if not wrong:
            raise SystemExit(done.stdout[-5000:])
        kept = [change for change in kept if change not in wrong]


def build_tests(root: Path, work: Path) -> None:
    """Bring the tests of a build up to date."""
    shutil.copytree(root / "tests", work / "source" / "tests", dirs_exist_ok=True)
    subprocess.run(["cmake", "--build", work / "build", "--", "--quiet"], check=True)


def _write(changes: Sequence[Change], root: Path, source: Path) -> None:
    numbers = {change: number for number, change in enumerate(changes)}
    for path in (root / "cpp").rglob("*.[ch]pp"):
        file = str(path.relative_to(root))
        here = sorted(
            (change for change in changes if change.file == file),
            key=lambda change: (change.start, -change.end),
        )
        text = path.read_bytes()
        new = _render(text, 0, len(text), here, numbers)
        if file == "cpp/core/span.cpp":
            new += DEFINITIONS.encode() % max(1, len(changes))
        if new != (source / file).read_bytes():
            (source / file).write_bytes(new)


def _render(
    text: bytes, start: int, end: int, changes: list[Change], numbers: dict[Change, int]
) -> bytes:
    """Return text[start:end] with the changes, outermost first, that lie inside it."""
    pieces, at = [], start
    while changes:
        outer = [c for c in changes if (c.start, c.end) == (changes[0].start, changes[0].end)]
        first = outer[0]
        rest = [c for c in changes if c not in outer]
        inside = [c for c in rest if c.end <= first.end]
        changes = [c for c in rest if c.start >= first.end]
        old = _render(text, first.start, first.end, inside, numbers)
        for change in outer:
            new = change.new.encode() if change.new else b"void()"
            old = b"(gradclip_is(%d) ? (%b) : %b)" % (
                numbers[change],
                new,
                b"(" + old + b")" if change.new else b"static_cast<void>(" + old + b")",
            )
        pieces += [text[at : first.start], old]
        at = first.end
    return b"".join([*pieces, text[at:end]])


def _that_do_not_compile(
    output: str, changes: Sequence[Change], root: Path, source: Path
) -> set[Change]:
    """Return the changes in the expressions that start or end on the lines of the errors."""
    wrong = set()
    for file, lines in groupby(sorted(set(ERROR.findall(output))), key=lambda error: error[0]):
        name = str(Path(file).relative_to(source))
        text = (source / name).read_text().splitlines()
        for _, line in lines:
            ids = {int(i) for i in re.findall(r"gradclip_is\((\d+)\)", text[int(line) - 1])}
            wrong |= {changes[i] for i in ids}
    return wrong
