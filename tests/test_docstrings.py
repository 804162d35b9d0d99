"""The examples in the docstrings run and print what they say."""

import doctest
import re
from pathlib import Path

import pytest

import gradclip
import gradclip.threadpoolctl

DOCUMENTED = {
    "gradclip": gradclip,
    "gradclip.threadpoolctl": gradclip.threadpoolctl,
    "AutoClip": gradclip.thresholds.AutoClip,
    "ZClip": gradclip.thresholds.ZClip,
    "NormHistory": gradclip.monitor.NormHistory,
} | {
    name: getattr(gradclip, name)
    for name in gradclip.__all__
    if name not in {"NonFiniteNormError", "__version__"}
}
README = Path(__file__).resolve().parent.parent / "README.md"


def run_examples(text, name, capsys):
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    test = parser.get_doctest(text, {}, name, None, 0)
    assert test.examples
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_examples_run(name, capsys):
    run_examples(DOCUMENTED[name].__doc__, name, capsys)


def test_examples_of_the_readme_run(capsys):
    use = README.read_text("utf-8").partition("## Use")[2]  # 400 MB before that
    run_examples("\n".join(re.findall("```pycon\n(.*?)```", use, re.DOTALL)), "README", capsys)
