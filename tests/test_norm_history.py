"""NormHistory: what it counts, what its file holds after a crash, how a run goes on."""

import json
import math
import signal

import numpy as np
import pytest
from buffers import unchanged
from subprocesses import run_python

import gradclip
from gradclip.monitor import NormHistory
from gradclip.thresholds import ZClip

STEPS = [(0.1, 1.0), (5.0, 1.0), (1.0, 1.0), (math.inf, 1.0), (math.nan, math.inf), (0.0, 0.0)]
STEPS += [(5e-324, 0.0), (1.7976931348623157e308, 0.1), (2 / 3, math.inf)]
SUFFIXES = [".csv", ".jsonl"]


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"norms{request.param}"


def record(path=None, steps=STEPS):
    with NormHistory(path) as history:
        for norm, max_norm in steps:
            history.record(norm, max_norm)
    return history


def assert_same(history, other):
    assert len(history) == len(other)
    for name in ("norms", "max_norms", "factors", "clipped"):
        assert getattr(history, name).tobytes() == getattr(other, name).tobytes()


class TestRecord:
    def test_a_factor_is_what_gradients_were_multiplied_by(self):
        history = record()
        nan = math.nan
        factors = [1.0, 0.2, 1.0, nan, nan, 1.0, 0.0, 0.1 / 1.7976931348623157e308, 1.0]
        assert np.array_equal(history.factors, factors, equal_nan=True)
        assert history.clipped.nonzero()[0].tolist() == [1, 6, 7]

    @pytest.mark.parametrize(
        ("norm", "max_norm"), [(-1.0, 1.0), (1.0, -1.0), (1.0, math.nan), ("a", 1.0)]
    )
    def test_what_makes_no_sense_is_refused_and_not_kept(self, norm, max_norm, path):
        with NormHistory(path) as history, pytest.raises(ValueError, match=r"at least 0|float"):
            history.record(norm, max_norm)
        assert len(history) == len(NormHistory.read(path)) == 0

    def test_arrays_belong_to_the_caller(self):
        history = record()
        history.norms[:] = 7.0
        assert history.norms[0] == 0.1


class TestThreshold:
    def test_it_records_what_a_call_clips(self, rng):
        history = NormHistory()
        max_norm = history.threshold(ZClip(warmup_steps=3))
        alone = ZClip(warmup_steps=3)
        grads = [rng.standard_normal(50) * scale for scale in (1, 1.1, 0.9, 1, 8, 1)]
        norms = [gradclip.clip_by_global_norm_(grad, max_norm) for grad in grads]
        assert history.norms.tolist() == norms
        assert history.max_norms.tolist() == [alone(norm) for norm in norms]
        assert history.clipped.tolist() == [False] * 4 + [True, False]

    def test_a_number_is_a_threshold_too(self):
        history = NormHistory()
        grad = np.array([3.0, 4.0])
        gradclip.clip_by_global_norm_(grad, history.threshold(2.5))
        assert 2.5 * (1 - 2**-50) <= gradclip.global_norm(grad) <= 2.5
        assert history.factors.tolist() == [0.5]

    @pytest.mark.parametrize("max_norm", [lambda norm: 1 / 0, lambda norm: -1.0, math.nan])
    def test_after_an_error_nothing_is_recorded_or_written(self, max_norm):
        history = NormHistory()
        grad = np.array([3.0, 4.0])
        with unchanged(grad), pytest.raises((ZeroDivisionError, ValueError)):
            gradclip.clip_by_global_norm_(grad, history.threshold(max_norm))
        assert len(history) == 0

    def test_a_file_that_takes_no_more_leaves_gradients_unwritten(self, path):
        history = record(path)
        grad = np.array([3.0, 4.0])
        with unchanged(grad), pytest.raises(ValueError, match="closed"):
            gradclip.clip_by_global_norm_(grad, history.threshold(1.0))
        assert len(history) == len(STEPS)


class TestFile:
    def test_it_is_read_as_it_was_recorded(self, path):
        record(path)
        assert_same(NormHistory.read(path), record())

    def test_a_run_goes_on_after_the_last_step(self, path):
        record(path)
        resumed = record(str(path), STEPS[:3])
        assert_same(resumed, record(steps=STEPS + STEPS[:3]))
        assert_same(NormHistory.read(path), resumed)

    def test_steps_are_numbered_through(self, tmp_path):
        for path in (tmp_path / "a.csv", tmp_path / "a.jsonl"):
            record(path), record(path)
        lines = (tmp_path / "a.csv").read_text().splitlines()
        assert lines[0] == "step,norm,max_norm,factor,clipped"
        assert lines[2] == "1,5.0,1.0,0.2,1"
        assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(2 * len(STEPS)))
        steps = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
        assert [step["step"] for step in steps] == list(range(2 * len(STEPS)))
        assert list(steps[1].values()) == [1, 5.0, 1.0, 0.2, True]

    def test_lines_are_json_to_those_who_know_no_nan(self, tmp_path):
        def refuse(constant):
            raise AssertionError(constant)

        record(tmp_path / "a.jsonl")
        for line in (tmp_path / "a.jsonl").read_text().splitlines():
            json.loads(line, parse_constant=refuse)

    def test_wherever_it_is_cut_the_complete_lines_are_read_and_gone_on_from(
        self, path, record_property
    ):
        steps = STEPS[1:3]
        record(path, steps)
        whole = path.read_bytes()
        record_property("cases", len(whole) + 1)
        for cut in range(len(whole) + 1):
            path.write_bytes(whole[:cut])
            kept = steps[: max(0, whole[:cut].count(b"\n") - (path.suffix == ".csv"))]
            assert_same(NormHistory.read(path), record(steps=kept))
            assert path.read_bytes() == whole[:cut]
            record(path, steps[len(kept) :])
            assert path.read_bytes() == whole

    def test_each_step_survives_the_death_of_the_process(self, path):
        code = """
        import os, signal
        import gradclip
        history = gradclip.monitor.NormHistory(os.environ["NORMS"])
        for step in range(1000):
            history.record(1.0 + step, 10.0)
        os.kill(os.getpid(), signal.SIGKILL)
        """
        assert run_python(code, NORMS=str(path)).returncode == -signal.SIGKILL
        assert NormHistory.read(path).norms.tolist() == [1.0 + step for step in range(1000)]

    @pytest.mark.parametrize("name", ["norms", "norms.txt", "norms.CSV", ".csv"])
    def test_other_suffixes_are_refused(self, name, tmp_path):
        for use in (NormHistory, NormHistory.read):
            with pytest.raises(ValueError, match=r"must end in \.csv or \.jsonl"):
                use(tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "content", ["a,b\n1,2\n", "[]\n", '{"norm": 1}\n', "\xff\n", "step,norm\n", "\n", "1\n"]
    )
    def test_a_file_of_something_else_is_refused_and_left_alone(self, content, path):
        path.write_text(content)
        before = path.read_bytes()
        for use in (NormHistory, NormHistory.read):
            with pytest.raises(ValueError, match="is no history of norms"):
                use(path)
        assert path.read_bytes() == before

    def test_there_must_be_a_file_to_read(self, path):
        with pytest.raises(FileNotFoundError):
            NormHistory.read(path)


class TestSummary:
    def test_what_a_percentile_would_clip(self, rng):
        norms = rng.permutation(np.arange(1.0, 1001.0)).tolist()
        summary = record(steps=[(norm, 250.0) for norm in [*norms, math.nan, math.inf]]).summary()
        assert (summary.steps, summary.nonfinite, summary.clip_rate) == (1002, 2, 0.75)
        assert [row.percentile for row in summary.percentiles] == [50, 90, 95, 99, 100]
        assert [row.clip_rate for row in summary.percentiles] == [0.5, 0.1, 0.05, 0.01, 0.0]
        assert summary.percentiles[0].norm == 500.5

    def test_equal_norms_are_never_above_a_percentile(self):
        percentiles = record(steps=[(0.1, 1.0)] * 7).summary().percentiles
        assert {(row.norm, row.clip_rate) for row in percentiles} == {(0.1, 0.0)}

    @pytest.mark.parametrize("steps", [[], [(math.nan, 1.0)]])
    def test_no_finite_norms(self, steps):
        summary = record(steps=steps).summary()
        assert (summary.steps, summary.clip_rate, summary.percentiles) == (len(steps), 0.0, ())
        assert str(summary).splitlines()[1] == "clipped            0.0%"
