"""Train a Beta-Bernoulli model by the score function alone, and count the steps with and without a baseline.

    python -m benchmarks.beta_bernoulli --seeds 100

Protocol (Pyro's tutorial "SVI part III: ELBO gradient estimators"): a coin with prior Beta(10, 10) shows 6 heads and
4 tails, so that the posterior is Beta(16, 14). q = Beta(alpha, beta) starts at Beta(15, 15); its parameters are
log alpha and log beta; one draw a step; Adam with learning rate 5e-4 and betas (0.93, 0.999); the run ends when
|alpha - 16| and |beta - 14| are both below 0.8. The baseline is a decaying average of the ELBO's draws (0.9) that
sets out from zero; minivae's own divides that start out.

The number of steps depends much on the seed, so compare many runs. The tutorial prints one run of each kind, 4,908
steps without a baseline and 1,932 with it, of Pyro 0.3.2. The same code in Pyro 1.9.2, seeds 0 to 5, takes 167 to
1,456 steps without (median 243) and 123 to 213 with it (median 160): that is what these runs are to be compared with.
"""

import argparse
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaln, digamma, polygamma
from tqdm import tqdm

import minivae as mv

RULES = {
    "without baseline": None,
    "decaying average from zero": mv.estimators.MovingAverage(0.9, debias=False),
    "decaying average, debiased": mv.estimators.MovingAverage(0.9),
}
PYRO = {"without baseline": (4908, 243), "decaying average from zero": (1932, 160)}  # the tutorial's, Pyro 1.9.2's
START, TRUE = (15.0, 15.0), np.array([16.0, 14.0])
OPTIMIZER = mv.Adam(5e-4, beta1=0.93, beta2=0.999)


@dataclass(frozen=True)
class BetaBernoulli:
    """A coin of unknown bias z ~ Beta(a, b), seen to show heads and tails; q = Beta(alpha, beta) has phi = its logs.

    ELBO = E_q[log p(x, z) - log q(z)] is at its best, log p(x), where q = Beta(a + heads, b + tails).
    """

    prior: tuple[float, float] = (10.0, 10.0)
    heads: int = 6
    tails: int = 4

    @property
    def posterior(self) -> Any:
        """(a + heads, b + tails)."""
        return np.array([self.prior[0] + self.heads, self.prior[1] + self.tails])

    def elbo(self, phi: Any) -> float:
        """Return the exact ELBO in nats: log p(x) - KL(q || posterior)."""
        q, p = np.exp(phi), self.posterior
        log_p = betaln(*p) - betaln(*self.prior)
        kl = betaln(*p) - betaln(*q) + (q - p) @ digamma(q) - np.sum(q - p) * digamma(q.sum())
        return float(log_p - kl)

    def elbo_gradient(self, phi: Any) -> Any:
        """Return the exact gradient with respect to phi, shape (2,)."""
        q, p = np.exp(phi), self.posterior
        return -q * ((q - p) * polygamma(1, q) - np.sum(q - p) * polygamma(1, q.sum()))

    def elbo_draw(self, phi: Any, z: Any) -> Any:
        """Return log p(x, z) - log q(z) at draws z, of the shape of z."""
        q, p = np.exp(phi), self.posterior
        exponent = p - q
        return exponent[0] * np.log(z) + exponent[1] * np.log1p(-z) - betaln(*self.prior) + betaln(*q)

    def score(self, phi: Any, z: Any) -> Any:
        """Return d log q(z) / dphi, shape (..., 2): q_i (log z_i - digamma(q_i) + digamma(q_1 + q_2)), z_2 = 1 - z."""
        q = np.exp(phi)
        log_z = np.stack([np.log(z), np.log1p(-z)], axis=-1)
        return q * (log_z - digamma(q) + digamma(q.sum()))


def steps_until_close(rule: mv.estimators.Baseline | None, seed: int, tolerance: float = 0.8, most: int = 20000) -> int:
    """Return the number of steps until both errors are below the tolerance, or ``most``."""
    model, rng = BetaBernoulli(), np.random.default_rng(seed)
    phi = np.log(START)
    optimizer = OPTIMIZER.init(phi)
    state, x = {} if rule is None else rule.init(rng), np.zeros((1, 1))
    for step in range(1, most + 1):
        z = rng.beta(*np.exp(phi), size=1)
        f = model.elbo_draw(phi, z)
        c = 0.0 if rule is None else rule.predict(state, x)
        gradient = (f - c) @ model.score(phi, z)
        if rule is not None:
            rule.update(state, x, f)
        OPTIMIZER.update(phi, -gradient, optimizer)
        if np.all(np.abs(np.exp(phi) - model.posterior) < tolerance):
            return step
    return most


def run(seeds: int, quiet: bool) -> list[dict[str, Any]]:
    """Return a row for each baseline: the median, the least and the most steps over the seeds."""
    rows = []
    for name, rule in RULES.items():
        bar = tqdm(range(seeds), desc=name, unit="run", disable=True if quiet else None)
        steps = np.array([steps_until_close(rule, seed) for seed in bar])
        rows.append(
            {
                "baseline": name,
                "published": PYRO.get(name, (None, None))[0],
                "pyro": PYRO.get(name, (None, None))[1],
                "median": float(np.median(steps)),
                "least": int(steps.min()),
                "most": int(steps.max()),
                "runs": seeds,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="number of runs of each kind")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    rows = run(options.seeds, options.quiet)
    columns = {"published": "tutorial", "pyro": "Pyro 1.9.2", "median": "median", "least": "least", "most": "most"}
    print(f"{'steps until both errors < 0.8':<32}" + "".join(f"{title:>12}" for title in columns.values()))
    for row in rows:
        cells = ["-" if row[key] is None else f"{row[key]:.0f}" for key in columns]
        print(f"{row['baseline']:<32}" + "".join(f"{cell:>12}" for cell in cells))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
