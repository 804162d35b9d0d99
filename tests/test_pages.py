"""The examples in the README and on the pages of docs run and print what they say."""

import doctest
import re
from pathlib import Path

import pytest

import gradclip

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text("utf-8")
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
}
# Indented or not; what a comment says is not run comes as the first group.
BLOCK = re.compile(r"^(<!-- not run: .*-->\n)? *```pycon\n([^`]*)^ *```$", re.MULTILINE)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(page):
    """Return all blocks of a page as one, since they are about the same things."""
    return "".join(block + "\n" for not_run, block in BLOCK.findall(page) if not not_run)


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if examples(page)])
def test_examples_on_pages_run(name, capsys, record_property):
    text = examples(PAGES[name])
    for module in re.findall(r"^ *>>> import ([\w.]+)", text, re.MULTILINE):
        pytest.importorskip(module)
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    results = doctest.DocTestRunner(optionflags=OPTIONS).run(test)
    assert results.failed == 0, capsys.readouterr().out
    record_property("cases", results.attempted)


def test_the_page_of_the_interface_has_every_public_name():
    directive = re.compile(r"^\.\. auto\w+:: (?:gradclip\.)?(\w+)$", re.MULTILINE)
    listed = directive.findall(PAGES["docs/api.md"])
    assert set(gradclip.__all__) - set(listed) == {"__version__"}


def test_the_index_links_to_every_page():
    linked = re.findall(r"\]\((\w+\.md)\)", PAGES["docs/index.md"])
    pages = [Path(name).name for name in PAGES if name not in {"README.md", "docs/index.md"}]
    assert sorted(linked) == pages
