"""The fuzzer's calls for which shapes matter, or which take several nestings."""

import math

from dtypes import normals
from fuzz_calls import Answer, threshold
from placements import PLACEMENTS, placed

import gradclip

READING = {"clip_per_example_sum", "grad_stats", "sgd_step_, grads", "adaptive_grad_clip_, params"}
FRESH = {"clip_by_norm", "clip_by_value"}  # of NumPy's arrays only
POLICIES = ["raise", "skip", "zero", "propagate"]


class Partners:
    """Lists of arrays that fit the gradients, new ones for each call."""

    def __init__(self, rng, many, views, nest):
        self.nest = nest
        scale = rng.choice([1.0, 1.0, 1e-3, 0.0])
        self.values = [
            [(normals(many, v.shape, v.dtype) * v.dtype.type(scale), rng.choice([*PLACEMENTS]))
             for v in views]
            for _ in range(2)
        ]  # fmt: skip

    def two(self):
        """Return two lists, and both nested as the gradients are."""
        lists = [[placed(*pair) for pair in pairs] for pairs in self.values]
        return lists, [self.nest(arrays) for arrays in lists]


class Calls:
    """Calls with arguments drawn for them: function(grads) → all that came of it."""

    def __init__(self, rng, partners, norm):
        self.rng, self.partners = rng, partners
        self.nonfinite = rng.choice(POLICIES)
        self.max_norm = threshold(rng, norm)

    def draw(self, fresh):
        """Draw a call: its name, its text and the function."""
        calls = [self.clip_by_norm, self.clip_by_value, self.clip_per_example,
                 self.clip_per_example, self.clip_per_example_sum, self.adaptive_grad_clip,
                 self.sgd_step, self.sgd_step, self.grad_stats]  # fmt: skip
        name, options, function = self.rng.choice(calls)(fresh)
        return name, f"{name}(…, {options})", lambda grads: function(grads, **options)

    def clip_by_norm(self, fresh):
        options = {
            "max_norm": self.max_norm,
            "ord": self.rng.choice([2, 2, 2, 1, math.inf, 3]),
            "axis": self.rng.choice([None, 0, 1, -1, (0, 1), (-1, 0), (0, 1, 2)]),
            "eps": self.rng.choice([0.0, 0.0, 1e-6, 1.0]),
            "nonfinite": self.nonfinite,
        }
        return self._clip("clip_by_norm", options, fresh)

    def clip_by_value(self, fresh):
        bound = self.rng.choice([0.0, 1e-5, 0.5, 2.0, 1e5, math.inf])
        low = self.rng.choice([-bound, -bound, 0.0, bound, -math.inf])
        return self._clip("clip_by_value", {"low": low, "high": bound}, fresh)

    def _clip(self, name, options, fresh):
        if fresh and self.rng.random() < 0.4:
            function = getattr(gradclip, name)

            def clip(grads, **options):
                clipped, rest = function(grads, **options)
                return Answer(clipped, [rest])

            return name, options, clip
        in_place = getattr(gradclip, f"{name}_")
        return (
            f"{name}_",
            options,
            lambda grads, **options: Answer([], [in_place(grads, **options)]),
        )

    def clip_per_example(self, fresh):
        options = {"max_norm": self.max_norm, "nonfinite": self.nonfinite}
        return "clip_per_example_", options, gradclip.clip_per_example_

    def clip_per_example_sum(self, fresh):
        def add_up(grads, **options):
            sums, norms = gradclip.clip_per_example_sum(grads, **options)
            return Answer(sums, [norms])

        options = {"max_norm": self.max_norm, "nonfinite": self.nonfinite}
        return "clip_per_example_sum", options, add_up

    def adaptive_grad_clip(self, fresh):
        of_params = self.rng.random() < 0.3
        options = {
            "clipping": self.rng.choice([0.0, 0.01, 0.5, 2.0, 1e3]),
            "eps": self.rng.choice([0.0, 1e-3, 1.0]),
            "axis": self.rng.choice([None, None, 0, (1, 2, 3), -1]),
        }

        def clip(given, **options):
            lists, nested = self.partners.two()
            pair = (nested[0], given) if of_params else (given, nested[0])
            return Answer(lists[0], [gradclip.adaptive_grad_clip_(*pair, **options)])

        return "adaptive_grad_clip_" + ", params" * of_params, options, clip

    def sgd_step(self, fresh):
        role = self.rng.choice(["params", "params", "grads", "velocity"])
        options = {
            "lr": self.rng.choice([0.0, 0.1, 1e-3, 1e10]),
            "max_norm": self.rng.choice([None, self.max_norm]),
            "momentum": self.rng.choice([0.0, 0.9, 0.5] if role != "velocity" else [0.9]),
            "weight_decay": self.rng.choice([0.0, 0.0, 1e-4, 0.5]),
            "inv_scale": self.rng.choice([1.0, 1.0, 0.125, 0.1]),
            "nonfinite": self.nonfinite,
        }
        options["nesterov"] = options["momentum"] > 0 and self.rng.random() < 0.5

        def step(given, **options):
            lists, nested = self.partners.two()
            roles = dict(zip(sorted({"params", "grads", "velocity"} - {role}), nested, strict=True))
            roles[role] = given
            return Answer(lists[0] + lists[1], [gradclip.sgd_step_(**roles, **options)])

        return f"sgd_step_, {role}", options, step

    def grad_stats(self, fresh):
        def look(grads):
            stats = gradclip.grad_stats(grads)
            return Answer([], [*stats])

        return "grad_stats", {}, look
