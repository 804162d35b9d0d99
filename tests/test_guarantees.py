"""The page of guarantees names every promise and every file of tests."""

import itertools
import re
import runpy
from collections import Counter

from guarantees import HERE, PAGE, PROMISES, page, subject

FILES = [
    *HERE.glob("test_*.py"),
    *HERE.glob("pytorch/test_*.py"),
    *HERE.glob("cpp/test_*.cpp"),
]


def test_every_file_of_tests_enforces_one_promise():
    named = Counter(itertools.chain.from_iterable(promise.files for promise in PROMISES))
    assert set(named) == set(FILES)
    assert max(named.values()) == 1


def test_every_file_of_tests_says_what_it_is_about():
    assert [file.name for file in FILES if len(subject(file)) < 20] == []


def test_what_breaks_a_promise_on_purpose_is_still_in_the_code():
    mutants = runpy.run_path(str(HERE / "mutation" / "promises.py"))["MUTANTS"]
    assert len(mutants) > 40
    for mutant in mutants:
        assert (HERE.parent / mutant.file).read_text("utf-8").count(mutant.old) == 1, mutant
        assert all((HERE / name).exists() for name in mutant.tests.split()), mutant


def without_counts(text):
    return re.sub(r"[\d,]+( cases\.| \|)$", r"N\1", text, flags=re.MULTILINE)


class TestThePage:
    def test_it_has_every_promise_and_file(self):
        assert without_counts(PAGE.read_text("utf-8")) == without_counts(page(Counter()))

    def test_every_file_on_it_has_cases(self):
        assert " 0 |" not in PAGE.read_text("utf-8")
