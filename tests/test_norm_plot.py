"""The picture of a NormHistory: every step is on it, and it says what it shows."""

import math

import matplotlib
import numpy as np
import pytest
from subprocesses import output_of

from gradclip.monitor import NormHistory

matplotlib.use("Agg")

from matplotlib import pyplot as plt

HISTORIES = {
    "none": [],
    "zeros": [(0.0, 1.0), (0.0, 0.0)],
    "all kinds": [(0.5, 1.0), (5.0, 1.0), (math.nan, 0.5), (math.inf, 0.5), (1e-300, 0.5)],
}


@pytest.fixture(params=HISTORIES, scope="module")
def history(request):
    history = NormHistory()
    for norm, max_norm in HISTORIES[request.param]:
        history.record(norm, max_norm)
    return history


@pytest.fixture(scope="module")
def figure(history):
    figure = history.plot()
    yield figure
    plt.close(figure)


def on_a_log_axis(values):
    return np.where(np.isfinite(values) & (values > 0), values, math.nan)


def ys(line):
    return line.get_ydata().tolist()


def test_every_step_is_on_it(history, figure):
    lines = {line.get_label().split(" (")[0]: line for line in figure.axes[0].lines}
    for name, values in {
        "before clipping": history.norms,
        "max_norm": history.max_norms,
    }.items():
        assert np.array_equal(ys(lines[name]), on_a_log_axis(values), equal_nan=True)
    assert ys(lines["clipped"]) == history.norms[history.clipped].tolist()
    finite = np.isfinite(history.norms)
    marked = [] if finite.all() else lines["inf or NaN"].get_xdata().tolist()
    assert marked == (~finite).nonzero()[0].tolist()


def test_every_positive_norm_is_in_the_distribution(history, figure):
    counted = sum(bar.get_width() for bar in figure.axes[1].patches)
    assert counted == np.isfinite(on_a_log_axis(history.norms)).sum()


def test_it_says_what_it_shows(figure):
    over_time, distribution = figure.axes
    assert over_time.get_xlabel() == "training step"
    assert over_time.get_ylabel() == "norm of the gradients"
    assert distribution.get_xlabel() == "number of steps"
    assert len(over_time.get_legend().get_texts()) == len(over_time.lines)


def test_it_says_what_thresholds_would_do(history, figure):
    rows = [row for row in history.summary().percentiles[:-1] if row.norm > 0]
    lines = figure.axes[1].lines
    assert [line.get_ydata()[0] for line in lines] == [row.norm for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert line.get_label().endswith(f"would clip {row.clip_rate:.0%}")


def test_axes_may_be_given(history):
    figure, axes = plt.subplots(2)
    assert history.plot(axes) is figure
    figure.canvas.draw()
    assert all(panel.get_xlabel() for panel in axes)
    plt.close(figure)


def test_without_matplotlib_the_error_says_what_to_install():
    code = """
    import sys
    sys.modules["matplotlib"] = None
    import gradclip
    try:
        gradclip.monitor.NormHistory().plot()
    except ImportError as error:
        print(error.name, *error.__notes__)
    """
    assert output_of(code).startswith("matplotlib A plot needs matplotlib: python3 -m pip install")
