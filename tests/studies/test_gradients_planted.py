"""An error of a thousandth that is planted in a gradient is caught by the row of that gradient."""

import re
from dataclasses import replace

import numpy as np
import pytest

from minivae.classical import free_form, gaussian_form
from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
from minivae.core import kernels
from minivae.distributions import likelihoods
from minivae.distributions.autoregressive import InverseAutoregressiveFlow
from minivae.distributions.belief import BeliefBits
from minivae.distributions.bits import Bits
from minivae.distributions.categorical import Categorical
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.families import POSTERIORS
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.full import FullGaussian
from minivae.distributions.kl import closed_kl
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.distributions.mixtures import MixtureOfGaussians, VampPrior
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.distributions.sequences import EachStep, TeacherForced
from minivae.distributions.symmetric import SymmetricGaussian
from minivae.estimators import costs, weights
from minivae.estimators.baselines import LearnedBaseline
from minivae.estimators.control import ControlNetwork
from minivae.estimators.objectives import Elbo
from minivae.models import contraction, penalties, vae
from minivae.models.code_costs import CodeCostAt
from minivae.models.vae import VAE
from minivae.nn import GRU, LSTM, RNN
from minivae.nn.activations import ACTIVATIONS
from minivae.nn.convolution import Conv2d, ConvTranspose2d
from minivae.nn.dense import Dense
from minivae.nn.dropout import Dropout
from minivae.nn.front import Front
from minivae.nn.masked import MaskedDense
from minivae.nn.normalisation import LayerNorm
from minivae.nn.pooling import AveragePool, MaxPool, Upsample
from minivae.nn.residual import Residual
from minivae.nn.sequential import Sequential
from minivae.nn.steps import Bidirectional, Repeat, Steps
from minivae.studies import gradient_rows
from minivae.studies.gradients import gradient_checks
from minivae.studies.gradients_families import FAMILIES, check_family
from minivae.studies.gradients_models import elbo_rows, estimator_rows
from minivae.studies.gradients_posteriors import check_kl
from tests.studies.boxes_of_ones_own import DiagonalFromLearned, LearnedNormal


@pytest.fixture
def unexplained(monkeypatch):
    """Leave out the search for what is wrong in a row, where the time goes."""
    monkeypatch.setattr(gradient_rows, "_explain", lambda *_: "wrong")


def row_called(name):
    """Return the row of that name, which stands in the group of its first word, or of its box."""
    word = re.split(r"[ ,]", name)[0]
    group = {"KL": "posterior", "relaxed": "code", "control": "code", "log": "code"}.get(word, word)
    return next(row for row in gradient_checks(0, group) if row.name == name)


def quick_and_long(planted):
    """Return the names, those that are looked for in a whole model marked: its rows take seconds, a box's none."""
    whole = ("ELBO", "estimator", "K-sample", "autoencoder")
    rows = {name: [part for part in how if isinstance(part, str)][-1] for name, how in planted.items()}
    return [pytest.param(n, marks=pytest.mark.long) if row.startswith(whole) else n for n, row in rows.items()]


def off_by(factor, right, part=0):
    """Return a function whose result, or one part of it, is off by a factor."""

    def wrong(*args, **kwargs):
        result = right(*args, **kwargs)
        if isinstance(result, tuple):
            return tuple(factor * r if i == part and r is not None else r for i, r in enumerate(result))
        return None if result is None else factor * result

    return wrong


# what is off by a thousandth, and the row that must see it
PLANTED = {
    "kernel dense_backward": (kernels, "dense_backward", 0, "layer Dense"),
    "kernel tanh_backward": (kernels, "tanh_backward", 0, "layer Tanh"),
    "kernel relu_backward": (kernels, "relu_backward", 0, "layer ReLU"),
    "kernel reparameterize_backward": (kernels, "reparameterize_backward", 0, "posterior DiagonalGaussian, draw"),
    "kernel reparameterize_score": (kernels, "reparameterize_score", 0, "posterior DiagonalGaussian, log q at fixed z"),
    "kernel full_backward": (kernels, "full_backward", 0, "posterior FullGaussian, draw"),
    "kernel full_slope": (kernels, "full_slope", 0, "posterior FullGaussian, log q at fixed z"),
    "kernel gate_backward": (kernels, "gate_backward", 0, "posterior InverseAutoregressiveFlow, draw"),
    "kernel gate_backward, out": (kernels, "gate_backward", 1, "posterior InverseAutoregressiveFlow, draw"),
    **{
        f"kernel planar_backward, {what}": (kernels, "planar_backward", i, "posterior PlanarFlow, draw")
        for i, what in enumerate(("dz", "dw", "du", "db", "dc"))
    },
    "kernel planar_bend_backward, dw": (kernels, "planar_bend_backward", 0, "posterior PlanarFlow, draw"),
    "kernel planar_bend_backward, dv": (kernels, "planar_bend_backward", 1, "posterior PlanarFlow, draw"),
    "kernel planar_slope": (kernels, "planar_slope", 0, "posterior PlanarFlow, log q at fixed z"),
    "autoregressive slope": (
        InverseAutoregressiveFlow,
        "slope",
        0,
        "posterior InverseAutoregressiveFlow, log q at fixed z",
    ),
    "MaskedDense dx": (MaskedDense, "backward", 0, "layer MaskedDense"),
    "kernel conv_backward": (kernels, "conv_backward", 0, "layer Conv2d"),
    "kernel conv_transpose_backward": (kernels, "conv_transpose_backward", 0, "layer ConvTranspose2d"),
    "kernel gru_backward": (kernels, "gru_backward", 0, "layer GRU"),
    **{
        f"{layer.__name__} dx": (layer, "_backward", 0, f"layer {layer.__name__}")
        for layer in (Conv2d, ConvTranspose2d, AveragePool, MaxPool, Upsample, LayerNorm, Steps, Repeat, Bidirectional)
    },
    "Dropout dx": (Dropout, "_backward", 0, "layer Dropout"),
    "Dropout dx, given noise": (Dropout, "_backward", 0, "layer Dropout, given noise"),
    "Dropout, ELBO": (Dropout, "_backward", 0, "sequence of layers with dropout, ELBO"),
    "Residual dx": (Residual, "backward", 0, "layer Residual"),
    **{
        f"{cell.__name__} {what}": (cell, "_cell_backward", 0, f"layer {cell.__name__}{more}")
        for cell in (RNN, GRU, LSTM)
        for what, more in (
            ("state", ""),
            ("state, lengths", ", lengths"),
            ("state, reversed", ", all states, reversed"),
        )
    },
    "recurrent dx": (RNN, "_backward", 0, "layer RNN"),
    "each step, dout": (EachStep, "backward", 0, "sequence likelihood, each step, lengths"),
    "teacher forcing, dout": (TeacherForced, "backward", 0, "sequence likelihood, teacher forcing, lengths"),
    "teacher forcing, dout, words dropped": (
        *(TeacherForced, "backward", 0),
        *("sequence likelihood, teacher forcing, words dropped, lengths",),
    ),
    "teacher forcing, ELBO": (TeacherForced, "backward", 0, "sequence ELBO, teacher forcing, words dropped"),
    "each step, ELBO": (EachStep, "backward", 0, "sequence ELBO, gru, lengths"),
    "convolutions, ELBO": (kernels, "conv_transpose_backward", 0, "sequence of convolutions, ELBO"),
    "symmetric slope": (SymmetricGaussian, "slope", 0, "posterior SymmetricGaussian, log q at fixed z"),
    "kernel diagonal_kl_backward": (kernels, "diagonal_kl_backward", 0, "KL of DiagonalGaussian from StandardNormal"),
    "kernel bernoulli, score": (kernels, "bernoulli", 1, "likelihood bernoulli"),
    "kernel gaussian_shared, score": (kernels, "gaussian_shared", 1, "likelihood gaussian"),
    "kernel gaussian_per_pixel, score": (kernels, "gaussian_per_pixel", 1, "likelihood gaussian-per-pixel"),
    **{
        f"{name} {method}": (type(layer), method, 0, f"layer {type(layer).__name__}{more}")
        for name, layer in ACTIVATIONS.items()
        for method, more in (
            ("backward", ""),
            ("slope", ", slope and curvature"),
            ("curvature", ", slope and curvature"),
        )
        if (name, method) != ("relu", "curvature")  # zero
    },
    **{
        f"{name} curvature, contracted": (type(layer), "curvature", 0, f"autoencoder contractive, three layers, {name}")
        for name, layer in ACTIVATIONS.items()
        if name != "relu"
    },
    "Dense dx": (Dense, "backward", 0, "layer Dense"),
    "Sequential dx": (Sequential, "backward", 0, "layer Sequential"),
    **{
        f"{name} backward": (type(likelihood), "backward", 0, f"likelihood {name}")
        for name, likelihood in LIKELIHOODS.items()
    },
    **{
        f"{name} {method}": (make, method, 0, f"posterior {make.__name__}, {row}")
        for name, make in POSTERIORS.items()
        for method, row in (("backward", "draw"), ("score", "log q at fixed z"))
    },
    **{
        f"{density.__name__} {method}": (density, method, 0, f"inference, {row}, {method}")
        for density, row in (
            (NormalGamma, "Normal-Gamma"),
            (UnknownNormal, "unknown normal"),
            (BayesianLinear, "regression"),
        )
        for method in ("slope", "curvature")
    },
    "functional derivative": (free_form, "functional_derivative", 0, "inference, functional derivative"),
    "full path, SGVB": (FullGaussian, "backward", 0, "inference, SGVB, full, path"),
    "diagonal path, SGVB": (DiagonalGaussian, "backward", 0, "inference, SGVB, diagonal, path"),
    "slope of the joint, SGVB": (UnknownNormal, "slope", 0, "inference, SGVB, full, path"),
    "fixed score, estimator": (FixedGaussian, "score", 0, "estimator score, fixed, closed KL"),
    "fixed path, ELBO": (FixedGaussian, "backward", 0, "ELBO fixed, closed KL, K=5, beta=4"),
    "fixed path, autoencoder": (FixedGaussian, "backward", 0, "autoencoder with noise in the code, K=5"),
    "fixed KL, autoencoder": (
        type(closed_kl(FixedGaussian(2), StandardNormal(2))),
        "backward",
        0,
        "autoencoder with noise in the code, K=5",
    ),
    "fixed KL, ELBO": (
        type(closed_kl(FixedGaussian(2), StandardNormal(2))),
        "backward",
        0,
        "ELBO fixed, closed KL, K=1, beta=1",
    ),
    "bits score, all states": (Bits, "score", 0, "posterior Bits, all states"),
    **{
        f"{name} {method}": (make, method, 0, f"relaxed draw, {name}{row}")
        for name, make in (("bits", Bits), ("categorical", Categorical))
        for method, row in (("relaxed_backward", ""), ("behind_backward", ""), ("relaxed_bend", ", bend"))
    },
    **{
        f"{name} {method}, control": (make, method, 0, f"control variate, {name}, its variance")
        for name, make in (("bits", Bits), ("categorical", Categorical))
        for method in ("relaxed_backward", "relaxed_bend", "behind_forward")
    },
    **{
        f"{name} bend": (type(likelihood), "bend", 0, f"log p(x|z) between codes, {name}, bend")
        for name, likelihood in LIKELIHOODS.items()
    },
    "slope between codes": (CodeCostAt, "slope", 0, "log p(x|z) between codes, bernoulli"),
    "bend between codes": (CodeCostAt, "bend", 0, "log p(x|z) between codes, gaussian, bend"),
    "bend between codes, control": (CodeCostAt, "bend", 0, "control variate, bits, its variance"),
    "the network's slope, control": (ControlNetwork, "forward", 1, "control network and its slope"),
    "belief posterior": (BeliefBits, "score", 0, "belief network by enumeration, beta=4"),
    "belief posterior, draws": (BeliefBits, "score", 0, "belief network, iwae-vimco"),
    "Front dx": (Front, "backward", 0, "layer Front"),
    "bits score, exact ELBO": (Bits, "score", 0, "ELBO bits by enumeration, sampled KL, beta=4"),
    "diagonal score, estimator": (DiagonalGaussian, "score", 0, "estimator score, diagonal, closed KL"),
    "diagonal score, sticking the landing": (
        DiagonalGaussian,
        "score",
        0,
        "estimator path-derivative, diagonal, sampled KL",
    ),
    "bits score, estimator": (Bits, "score", 0, "estimator score-leave-one-out, bits, sampled KL"),
    "normal prior": (StandardNormal, "backward", 0, "prior StandardNormal"),
    "normal prior, ELBO": (StandardNormal, "backward", 0, "ELBO diagonal, sampled KL, K=1, beta=1"),
    "normal prior, estimator": (StandardNormal, "backward", 0, "estimator path-derivative, diagonal, sampled KL"),
    "mixture prior": (MixtureOfGaussians, "backward", 0, "prior mixture"),
    "mixture prior, ELBO": (MixtureOfGaussians, "backward", 0, "ELBO, prior mixture, bernoulli, beta=4"),
    "mixture prior, estimator": (MixtureOfGaussians, "backward", 0, "estimator path-derivative, prior mixture"),
    "vamp prior": (VampPrior, "backward", 0, "prior vamp"),
    "vamp prior, ELBO": (VampPrior, "backward", 0, "ELBO, prior vamp, gaussian, beta=4"),
    "free bits, share": (Elbo, "kl_share", 0, "ELBO diagonal, free bits, beta=4"),
    **{
        f"free bits, {type(q).__name__}{what}": (type(closed_kl(q, p)), "backward_per_latent", 0, row)
        for q, p, name in (
            (DiagonalGaussian(2), StandardNormal(2), "diagonal"),
            (Bits(2), FairBits(2), "bits"),
        )
        for what, row in (
            ("", f"KL of {type(q).__name__} from {type(p).__name__}, each latent"),
            (", ELBO", f"ELBO {name}, free bits, beta=1"),
        )
    },
    **{
        f"KL of {type(q).__name__}": (
            type(closed_kl(q, p)),
            "backward",
            0,
            f"KL of {type(q).__name__} from {type(p).__name__}",
        )
        for q, p in (
            (DiagonalGaussian(2), StandardNormal(2)),
            (FixedGaussian(2), StandardNormal(2)),
            (FullGaussian(2), StandardNormal(2)),
            (SymmetricGaussian(2), StandardNormal(2)),
            (Bits(2), FairBits(2)),
        )
    },
    "Bits KL, exact ELBO": (
        type(closed_kl(Bits(2), FairBits(2))),
        "backward",
        0,
        "ELBO bits by enumeration, closed KL, beta=1",
    ),
    "head, path": (vae, "head_gradient", 0, "ELBO diagonal, closed KL, K=1, beta=1"),
    "head, path and sampled KL": (vae, "head_gradient", 0, "ELBO diagonal, sampled KL, K=5, beta=4"),
    "head, every state": (vae, "head_gradient", 0, "ELBO bits by enumeration, closed KL, beta=1"),
    "head, score": (vae, "head_gradient", 0, "estimator score, bits, closed KL"),
    "K-sample bound, head": (vae, "head_gradient", 0, "K-sample bound diagonal, K=5"),
    "K-sample bound, unequal weights": (vae, "head_gradient", 0, "K-sample bound, draws of unequal weight"),
    "K-sample bound, shares": (weights, "shares_of_bound", 1, "K-sample bound diagonal, K=5"),
    "K-sample bound, prior": (StandardNormal, "backward", 0, "K-sample bound diagonal, K=5"),
    "K-sample bound, likelihood": (type(LIKELIHOODS["bernoulli"]), "backward", 0, "K-sample bound diagonal, K=1"),
    **{
        f"{name}, head": (vae, "head_gradient", 0, f"estimator {name}, diagonal, sampled KL")
        for name in ("iwae", "iwae-stl", "iwae-dreg", "iwae-score", "iwae-vimco")
    },
    **{
        f"{name}, normal prior": (StandardNormal, "backward", 0, f"estimator {name}, diagonal, sampled KL")
        for name in ("iwae", "iwae-stl", "iwae-dreg")
    },
    **{
        f"{name}, bits": (Bits, "score", 0, f"estimator {name}, bits, sampled KL")
        for name in ("iwae-score", "iwae-vimco")
    },
    "annealed density, prior": (StandardNormal, "backward", 0, "annealed density, likelihood bernoulli"),
    "annealed density, decoder": (Sequential, "backward", 0, "annealed density, likelihood bernoulli"),
    **{
        f"annealed density, {name}": (type(likelihood), "backward", 0, f"annealed density, likelihood {name}")
        for name, likelihood in LIKELIHOODS.items()
    },
    "sparse KL, dz": (penalties.KLSparsity, "backward", 0, "penalty KLSparsity"),
    "sparse KL, slope": (penalties.KLSparsity, "slope", 0, "penalty KLSparsity"),
    "sparse KL, autoencoder": (penalties.KLSparsity, "slope", 0, "autoencoder sparse, kl"),
    "sparse L1, dz": (penalties.L1Sparsity, "backward", 0, "penalty L1Sparsity"),
    "sparse L1, slope": (penalties.L1Sparsity, "slope", 0, "penalty L1Sparsity"),
    "contraction": (contraction.Contraction, "backward", 1, "penalty Contraction"),
    "contraction, slope": (contraction.Contraction, "slope", 0, "penalty Contraction"),
    **{
        f"cost {cost.__name__}": (cost, "gradient", 0, f"cost {cost.__name__}")
        for cost in (costs.Linear, costs.Quadratic, costs.Exponential, costs.Cosine)
    },
}


@pytest.mark.usefixtures("unexplained")
@pytest.mark.parametrize("planted", quick_and_long(PLANTED))
def test_a_planted_error_of_a_thousandth_is_caught(planted, monkeypatch):
    owner, name, part, row = PLANTED[planted]
    monkeypatch.setattr(owner, name, off_by(1.001, getattr(owner, name), part))
    assert row_called(row).ok is False


@pytest.mark.parametrize("name", ["dmean", "dlog_var"])
def test_a_planted_error_in_the_slopes_of_a_gaussian_on_a_grid_is_caught(name, monkeypatch):
    right = gaussian_form.GaussianOnGrid
    monkeypatch.setattr(
        gaussian_form, "GaussianOnGrid", lambda *a: replace(right(*a), **{name: 1.001 * getattr(right(*a), name)})
    )
    assert row_called("inference, Gaussian on a grid").ok is False


def test_an_error_is_planted_in_every_kernel_of_a_gradient():
    kernels_of_gradients = {name for name in kernels.__all__ if name.endswith(("_backward", "_score", "_slope"))}
    assert kernels_of_gradients <= {name for owner, name, *_ in PLANTED.values() if owner is kernels}


BY_REJECTION = [family for family in FAMILIES if hasattr(family, "log_noise")]


@pytest.mark.parametrize(
    ("family", "which"),
    [(family, which) for family in FAMILIES for which in ("_path", "_score")]
    + [(family, "_correction") for family in BY_REJECTION],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_planted_error_in_a_family_is_caught(family, which, monkeypatch):
    owner = next(one for one in type(family).__mro__ if which in vars(one))
    right = getattr(owner, which)
    for i, name in enumerate(family.parameters):
        if which == "_correction" and name == "scale":
            continue  # zero, and it stays so
        factors = np.ones(len(family.theta))
        factors[i] = 1.001

        def wrong(self, *args, factors=factors):
            rows = right(self, *args)
            return factors.reshape(-1, *[1] * (rows.ndim - 1)) * rows

        with monkeypatch.context() as patch:
            patch.setattr(owner, which, wrong)
            row = check_family(family)
        assert row.ok is False
        assert f"the {which[1:]}" in row.message


# methods that write into grads, the slice of the parameters that is off, and the rows that must see it, and no others
SEQUENCES = ("each step", "teacher forcing", "teacher forcing, words dropped")  # of Gaussians with a learned variance
WRITTEN = {
    "Dense weight": (Dense, "backward", 0, 4, "layer Dense", None),
    "Dense bias": (Dense, "backward", -1, 4, "layer Dense", None),
    "MaskedDense weight": (MaskedDense, "backward", 0, 4, "layer MaskedDense", None),
    "MaskedDense bias": (MaskedDense, "backward", -1, 4, "layer MaskedDense", None),
    **{
        f"{layer.__name__} {what}": (layer, "_backward", place, 4, f"layer {layer.__name__}", None)
        for layer in (Conv2d, ConvTranspose2d, LayerNorm, Steps, Bidirectional, RNN, GRU, LSTM)
        for what, place in (("first", 0), ("last", -1))
    },
    **{
        f"{cell.__name__} recurrent weights": (cell, "_backward", slice(2 * n, -n), 4, f"layer {cell.__name__}", None)
        for cell, n in ((RNN, 3), (GRU, 9), (LSTM, 12))
    },
    "Residual": (Residual, "backward", 0, 4, "layer Residual", None),
    "teacher forcing, network": (
        *(TeacherForced, "backward", 0, 4),
        *("sequence likelihood, teacher forcing, lengths", None),
    ),
    "teacher forcing, variance": (
        *(TeacherForced, "backward", -1, 4),
        *("sequence likelihood, teacher forcing, lengths", None),
    ),
    "each step, variance": (EachStep, "backward", 0, 4, "sequence likelihood, each step, lengths", None),
    "autoregressive networks": (
        InverseAutoregressiveFlow,
        "backward",
        -1,
        5,
        "posterior InverseAutoregressiveFlow, draw",
        None,
    ),
    "learned variance": (
        likelihoods.Gaussian,
        "backward",
        slice(None),
        4,
        "likelihood gaussian-learned",
        {
            "likelihood gaussian-learned",
            "ELBO, likelihood gaussian-learned",
            "K-sample bound, draws of unequal weight",
            *(f"sequence likelihood, {kind}, lengths" for kind in SEQUENCES),
        },
    ),
    "mixture, logits": (MixtureOfGaussians, "backward", slice(10), 4, "prior mixture", None),
    "mixture, means": (MixtureOfGaussians, "backward", slice(10, 30), 4, "prior mixture", None),
    "mixture, log-variances": (MixtureOfGaussians, "backward", slice(30, 50), 4, "prior mixture", None),
    "mixture, in the ELBO": (
        *(MixtureOfGaussians, "backward", slice(None), 4),
        *("ELBO, prior mixture, gaussian, beta=4", None),
    ),
    "vamp, heads": (VampPrior, "backward", slice(None), 4, "prior vamp", None),
    "vamp, heads in the ELBO": (VampPrior, "backward", slice(None), 4, "ELBO, prior vamp, bernoulli, beta=4", None),
    "vamp, pseudo-inputs": (VampPrior, "inputs_backward", slice(None), 4, "prior vamp, pseudo-inputs", None),
    "vamp, pseudo-inputs in the ELBO": (
        *(VampPrior, "inputs_backward", slice(None), 4),
        *("ELBO, prior vamp, bernoulli, beta=4", None),
    ),
    "learned baseline": (
        LearnedBaseline,
        "loss_and_grad",
        slice(None),
        4,
        "learned baseline, regression",
        {"learned baseline, regression"},
    ),
}


def off_in_grads(right, place, argument):
    """Return a method that writes a wrong gradient into its argument of that number, self included."""

    def wrong(*args, **kwargs):
        result = right(*args, **kwargs)
        if args[argument] is not None and len(args[argument]):
            args[argument][place] *= 1.001
        return result

    return wrong


@pytest.mark.usefixtures("unexplained")
@pytest.mark.parametrize("planted", quick_and_long(WRITTEN))
def test_a_planted_error_in_what_is_written_is_caught(planted, monkeypatch):
    owner, name, place, argument, row, _ = WRITTEN[planted]
    monkeypatch.setattr(owner, name, off_in_grads(getattr(owner, name), place, argument))
    assert row_called(row).ok is False


@pytest.mark.usefixtures("unexplained")
@pytest.mark.long
@pytest.mark.parametrize("planted", [name for name, (*_, only) in WRITTEN.items() if only])
def test_a_planted_error_in_what_is_written_is_caught_by_its_own_rows_alone(planted, monkeypatch):
    owner, name, place, argument, _, only = WRITTEN[planted]
    monkeypatch.setattr(owner, name, off_in_grads(getattr(owner, name), place, argument))
    assert {check.name for check in gradient_checks() if not check.ok} == only


@pytest.mark.long
@pytest.mark.usefixtures("unexplained")
@pytest.mark.parametrize("part", [0, 3], ids=["encoder", "decoder"])
def test_a_planted_error_in_the_whole_gradient_is_caught_by_every_elbo(part, monkeypatch):
    right = VAE.loss_and_grad

    def wrong(self, params, x, eps, grads, *args, **how):
        result = right(self, params, x, eps, grads, *args, **how)
        self.unpack(grads)[part][:] *= 1.001
        return result

    monkeypatch.setattr(VAE, "loss_and_grad", wrong)
    rng = np.random.default_rng(0)
    rows = [*elbo_rows(rng), *estimator_rows(rng)]
    assert len(rows) > 25
    assert [row.name for row in rows if row.ok] == []


@pytest.mark.long
@pytest.mark.usefixtures("unexplained")
def test_a_planted_error_in_what_the_prior_tells_the_encoder_is_caught(monkeypatch):
    right = VAE._asked_backward

    def wrong(self, own, cache, dheads, grads):
        before = grads[0].copy()
        right(self, own, cache, dheads, grads)
        grads[0][:] = before + 1.001 * (grads[0] - before)

    monkeypatch.setattr(VAE, "_asked_backward", wrong)
    rng = np.random.default_rng(0)
    rows = [row for row in (*elbo_rows(rng), *estimator_rows(rng)) if "prior vamp" in row.name]
    assert len(rows) == 5
    assert [row.name for row in rows if row.ok] == []


def test_a_formula_of_ones_own_is_checked_with_the_gradient_for_the_prior(monkeypatch):
    pair = DiagonalGaussian(2), LearnedNormal(2)
    assert check_kl(*pair)[0].ok
    monkeypatch.setattr(DiagonalFromLearned, "backward", off_in_grads(DiagonalFromLearned.backward, slice(2), 4))
    assert check_kl(*pair)[0].message == "the gradient of mean is 1.001 times the right one, in every entry"
    assert check_kl(DiagonalGaussian(2), FairBits(2)) == []
