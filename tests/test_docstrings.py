"""The examples in the docstrings run and print what they say."""

import doctest

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


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_examples_run(name, capsys):
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    test = parser.get_doctest(DOCUMENTED[name].__doc__, {}, name, None, 0)
    assert test.examples
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0, capsys.readouterr().out
