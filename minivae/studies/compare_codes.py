"""The gradient of E[f(z)] for the logits of bits or categories: all estimators beside exact mean, variance and bias."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.registry import Table
from minivae.distributions.bits import Bits
from minivae.distributions.categorical import Categorical
from minivae.estimators.baselines import Centred
from minivae.estimators.codes import QuadraticForm, code_gradients, seen_at
from minivae.estimators.control import Control, ControlNetwork, LearnedControl, controlled
from minivae.estimators.exact.codes import code_moments
from minivae.estimators.moments import Moments, summarize
from minivae.estimators.signals import optimal_baseline
from minivae.estimators.weights import ESTIMATORS
from minivae.studies.compare_costs import with_heavy_tails
from minivae.studies.compare_rows import Row, component_rows, reference_of, timed

_GROUP = ESTIMATORS["score-leave-one-out"].usual_draws
_N_PILOT = 2000
_STEPS, _BATCH = 400, 100  # of what REBAR and RELAX learn before they are measured
_NO_X = np.zeros((1, 1))


@dataclass(frozen=True)
class CodeWay:
    """An estimator of the table, and what it takes from draws that were made for that alone.

    Parameters
    ----------
    estimator : str
    rule : {"none", "mean", "optimal", "spread", "control", "network"}
        What is learnt before: a baseline, NVIL's with its spread, the control of REBAR, that of RELAX.
    """

    estimator: str
    rule: str = "none"


CODE_WAYS: Table[CodeWay] = Table("estimators")
CODE_WAYS.add("score", CodeWay("score"))
CODE_WAYS.add("score-optimal", CodeWay("score", "optimal"))
CODE_WAYS.add("score-leave-one-out", CodeWay("score-leave-one-out"))
CODE_WAYS.add("nvil", CodeWay("nvil", "spread"))
CODE_WAYS.add("muprop", CodeWay("muprop"))
CODE_WAYS.add("arm", CodeWay("arm"))
CODE_WAYS.add("disarm", CodeWay("disarm"))
CODE_WAYS.add("rebar", CodeWay("rebar", "control"))
CODE_WAYS.add("relax", CodeWay("relax", "network"))
CODE_WAYS.add("straight-through", CodeWay("straight-through"))
CODE_WAYS.add("gumbel-softmax", CodeWay("gumbel-softmax"))


@dataclass(frozen=True)
class CodeProblem:
    """d/dphi of E[f(z)], z a few bits or one group of categories with logits phi.

    Parameters
    ----------
    name, text : str
        What it is called, and what it is.
    posterior : Bits or Categorical
        Of at most three logits: then REBAR, RELAX and the Gumbel-softmax are exact, too.
    cost : Cost
        With value, gradient and ``bend`` for rows z anywhere between the codes.
    head : tuple of float
        phi.

    Examples
    --------
    >>> from minivae.studies.compare import compare
    >>> row = next(compare("bits", ["score"], 1000))
    >>> row["parameter"], round(row["exact_mean"], 10), round(row["exact_variance"], 10), row["exact_bias"]
    ('phi 1', 0.2569162535, 0.1704977977, 0.0)
    """

    name: str
    text: str
    posterior: Any
    cost: Any
    head: tuple[float, ...]
    whole = None
    note = (
        "REBAR and RELAX have learnt from other draws; straight-through and gumbel-softmax (temperature 0.5) are biased"
    )

    @property
    def title(self) -> str:
        """The name, and what it is."""
        return f"{self.name}: {self.text}"

    @property
    def lacks(self) -> Mapping[str, str]:
        """ARM and DisARM, where z is not of bits."""
        without = [name for name, way in CODE_WAYS.items() if not ESTIMATORS[way.estimator].suits(self.posterior)]
        return dict.fromkeys(without, "bits, of which the noise 1 - u makes others")

    @property
    def estimators(self) -> tuple[str, ...]:
        """All that suit the posterior."""
        return tuple(name for name in CODE_WAYS if name not in self.lacks)

    @property
    def fewest(self) -> int:
        """Two groups of draws."""
        return 2 * _GROUP

    def settled(self, name: str, rng: np.random.Generator) -> Any:
        """Return what an estimator takes from draws of its own: a baseline or a control."""
        way, q, head = CODE_WAYS[name], self.posterior, np.array(self.head)
        if way.rule in ("control", "network"):
            network = None if way.rule == "control" else ControlNetwork(q.n_latent, 1, n_hidden=8)
            return learnt_control(LearnedControl(network), q, head, self.cost, rng)
        seen = seen_at(q, head, q.draw_noise(rng, (_N_PILOT, q.n_latent), float), self.cost)
        f = seen.f[:, 0]
        if way.rule == "spread":
            return Centred(f.mean(), float(f.std()))
        return optimal_baseline(f, seen.score[:, 0]) if way.rule == "optimal" else 0.0

    def moments(self, name: str, settled: Any = 0.0, **how: Any) -> Moments | None:
        """Return the exact mean and variance of a draw."""
        estimator = CODE_WAYS[name].estimator
        found = code_moments(estimator, self.cost, self.posterior, self.head, baseline=settled, n_draws=_GROUP, **how)
        if name != "score-leave-one-out" or found is None:
            return found
        return Moments(found.mean, _GROUP * found.variance)  # of one draw, where draws come in groups

    def rows(
        self,
        names: Sequence[str],
        n_samples: int,
        seed: int,  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Iterator[Row]:
        """Yield the rows of each estimator, a logit each; the exact mean is its own, the bias is beside."""
        n, n_draws = self.posterior.n_latent, n_samples - n_samples % _GROUP
        reference = self.moments(reference_of(self.estimators))
        gradient = code_moments("exact", self.cost, self.posterior, self.head)
        assert reference is not None
        assert gradient is not None
        parameters = [f"phi {i + 1}" for i in range(n)] if n > 1 else ["phi"]
        for name in self.estimators:
            if name not in names:
                continue
            settled, group = self.settled(name, rng), _GROUP if name == "score-leave-one-out" else 1
            eps = self.posterior.draw_noise(rng, (n_draws, n), float)
            rows, seconds = timed(partial(self._draws, name, settled, eps))
            exact = self.moments(name, settled)
            found = summarize(rows, exact, n_group=group)
            found = found if exact is None else with_heavy_tails(found, exact, exact_kurtosis=False)
            bias = np.full(n, np.nan) if exact is None else exact.mean - gradient.mean
            each = component_rows(name, parameters, found, exact, reference.variance, seconds / n_draws)
            for row, b in zip(each, bias, strict=True):
                yield {**row, "exact_bias": float(b) if abs(b) > 1e-6 or np.isnan(b) else 0.0}

    def _draws(self, name: str, settled: Any, eps: Array) -> Array:
        """Return a row for each draw; leave-one-out takes them in groups, all at once."""
        if name != "score-leave-one-out":
            return code_gradients(
                CODE_WAYS[name].estimator, self.cost, self.posterior, self.head, eps, baseline=settled
            )
        seen = seen_at(self.posterior, np.array(self.head), eps, self.cost)
        f = seen.f.reshape(-1, _GROUP)
        signal = (f - f.mean(axis=1, keepdims=True)) * _GROUP / (_GROUP - 1)  # f less the mean of the others
        return signal.reshape(-1, 1) * seen.score[:, 0]


def learnt_control(
    rule: LearnedControl,
    posterior: Any,
    head: Array,
    cost: Any,
    rng: np.random.Generator,
    n_steps: int = _STEPS,
    temperature: float = 0.5,
) -> Control:
    """Return the control that a rule has after so many steps down the measured variance, the logits standing still.

    >>> from minivae.estimators.codes import squared_distance
    >>> rng = np.random.default_rng(0)
    >>> learnt_control(LearnedControl(), Bits(1), np.zeros(1), squared_distance(0.45), rng, n_steps=5).params.shape
    (2,)
    """
    state = rule.init(rng)
    for _ in range(n_steps):
        seen = seen_at(posterior, head, posterior.draw_noise(rng, (_BATCH, posterior.n_latent), float), cost)
        controlled(seen, rule.predict(state, _NO_X), temperature)
        rule.update(state, _NO_X, seen.f)
    return rule.predict(state, _NO_X)


_PAIRS = np.array([[0.5, 1.0, -0.5], [0.0, 0.5, 0.8], [0.0, 0.0, 0.5]])
_COST = QuadraticForm(0.3, [0.5, -2.5, 0.0], _PAIRS)  # not linear between the codes, so that relaxations are biased
_PHI = (0.4, -0.7, 0.1)
CODES_BITS = CodeProblem(
    "bits",
    "d/dphi of E[f(b)], b of 3 bits, f a quadratic form, exact by enumeration and quadrature",
    Bits(3),
    _COST,
    _PHI,
)
CODES_CATEGORICAL = CodeProblem(
    "categorical",
    "d/dphi of E[f(z)], z one of 3 categories, f a quadratic form, exact by enumeration and quadrature",
    Categorical(3),
    _COST,
    _PHI,
)
