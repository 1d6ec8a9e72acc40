"""The suite passes, and has a row for whatever is registered."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from minivae.distributions import likelihoods
from minivae.distributions.families import POSTERIORS
from minivae.distributions.kl import closed_kl
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.estimators.weights import ESTIMATORS, Weights
from minivae.models.corruptions import CORRUPTIONS
from minivae.models.penalties import SPARSITIES
from minivae.nn.activations import ACTIVATIONS, Activation
from minivae.studies.gradients import gradient_checks
from minivae.studies.gradients_families import FAMILIES
from tests.studies.boxes_of_ones_own import SharedScale


def names(rows):
    return [row.name for row in rows]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_every_gradient_of_the_package_is_right_and_whatever_has_a_name_has_a_row(seed):
    found = list(gradient_checks(seed))
    assert [f"{row.name}: {row.relative_error} {row.message}" for row in found if not row.ok] == []
    assert all(row.n_checked > 0 and not row.message for row in found)
    found = names(found)
    assert len(set(found)) == len(found)
    rows = [
        f"layer {type(layer).__name__}{more}"
        for layer in ACTIVATIONS.values()
        for more in ("", ", slope and curvature")
    ]
    rows += ["layer Dense", "layer Dense, matrix", "layer Sequential"]
    rows += [f"autoencoder contractive, three layers, {name}" for name in ACTIVATIONS]
    rows += [f"likelihood {name}" for name in LIKELIHOODS] + [f"ELBO, likelihood {name}" for name in LIKELIHOODS]
    rows += ["likelihood bernoulli, grey x", "prior StandardNormal", "posterior Bits, all states"]
    for make in POSTERIORS.values():
        q = make(2)
        rows += [f"posterior {type(q).__name__}, {more}" for more in ("draw", "log q at fixed z")]
        title = f"KL of {type(q).__name__} from {type(q.prior()).__name__}"
        rows += [] if closed_kl(q, q.prior()) is None else [title, f"{title}, each latent"]
    for kl, n_draws, beta in itertools.product(("closed", "sampled"), (1, 5), (1, 4)):
        rows += [f"ELBO diagonal, {kl} KL, K={n_draws}, beta={beta}"]
        rows += [f"ELBO bits by enumeration, {kl} KL, beta={beta}"]
    rows += [f"estimator {how}, diagonal, {kl} KL" for how in ("pathwise", "score") for kl in ("closed", "sampled")]
    rows += [f"estimator {how}, bits, closed KL" for how in ("score", "score-leave-one-out")]
    rows += [
        f"estimator {how}, {q}, closed KL"
        for how in ("muprop", "rebar", "gumbel-softmax")
        for q in ("bits", "categorical")
    ]
    rows += [f"relaxed draw, {q}{more}" for q in ("bits", "categorical") for more in ("", ", bend")]
    rows += [f"log p(x|z) between codes, {name}, bend" for name in LIKELIHOODS]
    rows += [
        "control variate, bits, its variance",
        "belief network by enumeration, beta=4",
        "prior BeliefPrior",
        "layer Front",
    ]
    rows += ["estimator path-derivative, diagonal, sampled KL", "ELBO, draws of unequal weight"]
    rows += [f"estimator {how}, diagonal, sampled KL" for how in ("iwae", "iwae-stl", "iwae-dreg")]
    rows += [f"estimator {how}, {q}, sampled KL" for how in ("iwae-score", "iwae-vimco") for q in ("diagonal", "bits")]
    rows += ["K-sample bound diagonal, K=1", "K-sample bound diagonal, K=5", "K-sample bound, draws of unequal weight"]
    rows += [f"annealed density, likelihood {name}" for name in LIKELIHOODS]
    # those that differ in their baseline only are one
    assert not any("moving-average" in name or "learned" in name for name in found if name.startswith("estimator"))
    rows += [f"autoencoder denoising, {c}, K=2" for c in CORRUPTIONS] + [f"autoencoder sparse, {s}" for s in SPARSITIES]
    rows += [f"penalty {p}" for p in ("KLSparsity", "L1Sparsity", "Contraction")]
    rows += [f"cost {c}" for c in ("Linear", "Quadratic", "Exponential", "Cosine")]
    rows += ["linear autoencoder", "linear autoencoder, L2", "learned baseline, regression"]
    rows += [f"family {type(family).__name__}" for family in FAMILIES]
    assert set(rows) <= set(found)


@pytest.mark.long
def test_a_registered_layer_likelihood_posterior_and_estimator_have_rows(monkeypatch):
    class Late(Activation):
        """Softsign, of which no curvature is given."""

        def _forward(self, x):
            y = x / (1 + np.abs(x))
            return y, y

        def _backward(self, cache, dy):
            return (1 - np.abs(cache)) ** 2 * dy

    def uneven(draws, baseline):
        """Weigh path, score and decoder differently, and each draw too."""
        some = draws.share * np.linspace(0.5, 2, len(draws.share))[:, None]
        return Weights(draws.share, some, draws.share * (draws.f - baseline))

    late = replace(ESTIMATORS["pathwise"], weights=uneven)
    monkeypatch.setitem(ACTIVATIONS, "late", Late())
    monkeypatch.setitem(LIKELIHOODS, "late", likelihoods.Gaussian(2.0))
    monkeypatch.setitem(POSTERIORS, "late", SharedScale)
    monkeypatch.setitem(ESTIMATORS, "late", late)
    rows = list(gradient_checks(0, "layer", "posterior", "prior", "likelihood", "ELBO", "estimator", "autoencoder"))
    assert [f"{row.name}: {row.message}" for row in rows if not row.ok] == []
    expected = {"layer Late", "layer Late, slope", "likelihood late", "ELBO, likelihood late"}
    expected |= {"posterior SharedScale, draw", "prior LearnedNormal", "ELBO late, sampled KL, K=5, beta=4"}
    expected |= {"estimator late, diagonal, closed KL", "estimator late, late, sampled KL"}
    assert expected <= set(names(rows))
    assert "autoencoder contractive, three layers, late" not in names(rows)
