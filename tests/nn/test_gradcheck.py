"""The checker is checked: it passes right gradients, kinks included, and catches planted errors of 0.1 %."""

import numpy as np
import pytest

from minivae.core import kernels
from minivae.distributions import likelihoods
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.estimators import costs
from minivae.estimators.baselines import LearnedBaseline
from minivae.models import contraction, penalties
from minivae.models.discrete import BernoulliVAE
from minivae.models.vae import VAE
from minivae.nn.activations import ACTIVATIONS, ReLU
from minivae.nn.dense import Dense
from minivae.nn.gradcheck import check_gradient
from minivae.studies.gradients import gradient_checks


def cubic(theta):
    return np.sum(theta**3) / 3


@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize("n_directions", [None, 5])
def test_a_right_gradient_passes_and_small_errors_fail(method, n_directions, rng):
    theta = rng.normal(size=8)
    assert check_gradient(cubic, theta**2, theta, method=method, n_directions=n_directions).ok
    for wrong in (1.001 * theta**2, -(theta**2), 0 * theta):
        assert not check_gradient(cubic, wrong, theta, method=method, n_directions=n_directions).ok


def test_one_wrong_coordinate_is_found_and_named(rng):
    theta = rng.normal(size=8)
    g = theta**2
    g[5] *= 1.01
    report = check_gradient(cubic, g, theta)
    assert (report.ok, report.worst, report.n_checked) == (False, 5, 8)


def test_errors_have_the_size_that_theory_gives(rng):
    theta = rng.normal(size=20)
    assert check_gradient(cubic, theta**2, theta).relative_error < 1e-9  # eps^(2/3)
    assert check_gradient(cubic, theta**2, theta, method="complex").relative_error < 1e-15  # eps


def test_a_nan_is_a_failure(rng):
    theta = rng.normal(size=3)
    g = theta**2
    g[1] = np.nan
    assert not check_gradient(cubic, g, theta).ok


def test_a_projection_that_is_nearly_zero_is_no_false_alarm():
    # at the minimum every slope is zero, and a plain relative error would be 0 / 0
    assert check_gradient(lambda t: float(np.cosh(t).sum()), np.sinh, np.zeros(3)).ok


def test_kinks_inside_the_step_do_not_fail_and_kinks_at_the_point_are_counted():
    def relu_sum(theta):
        return float(np.maximum(theta, 0).sum())

    theta = np.array([1.0, -1.0, 2e-6, -3e-7, 0.0])
    report = check_gradient(relu_sum, (theta > 0).astype(float), theta)
    assert report.ok
    assert (report.n_checked, report.n_kinks) == (4, 1)
    wrong = (theta > 0) * 1.0
    wrong[2] = 0.0  # the wrong side of a nearby kink is still seen
    assert not check_gradient(relu_sum, wrong, theta).ok


def test_strong_curvature_is_not_taken_for_a_kink():
    # the second difference of a parabola is larger than the planted error at every step, but it falls with the step
    theta = np.array([1e-5, 1.0])
    right = np.array([1e5 * theta[0], 1.0])
    for factor, ok in ((1.0, True), (1.001, False)):
        report = check_gradient(lambda t: float(0.5e5 * t[0] ** 2 + t[1]), right * [factor, 1], theta)
        assert (report.ok, report.n_kinks) == (ok, 0)


def test_only_kinks_is_not_a_pass():
    report = check_gradient(lambda t: float(np.abs(t).sum()), np.ones(2), np.zeros(2))
    assert (report.n_checked, report.n_kinks, report.ok) == (0, 2, False)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"theta must be a non-empty float64 vector, got dtype float32"):
        check_gradient(cubic, np.ones(2), np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"gradient must have the shape of theta, \(2,\), got \(3,\)"):
        check_gradient(cubic, np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="It drops the imaginary part"):
        check_gradient(lambda t: float(np.real(t).sum()), np.ones(2), np.ones(2), method="complex")
    with pytest.raises(ValueError, match="Did you mean 'complex'"):
        check_gradient(cubic, np.ones(2), np.ones(2), method="complx")


@pytest.mark.parametrize("seed", range(5))
def test_every_gradient_of_the_package_is_right(seed):
    failed = [f"{c.name}: {c.relative_error:.1e}" for c in gradient_checks(seed) if not c.ok]
    assert not failed


def test_the_suite_has_a_row_for_every_layer_and_likelihood_and_elbo():
    names = " ".join(check.name for check in gradient_checks())
    for word in ("Dense", "Tanh", "ReLU", "ELU", "Softplus", "Sigmoid", "Sequential"):
        assert f"layer {word}" in names
    for name in ("Bernoulli", "fixed variance", "one learned variance", "variance per pixel"):
        assert name in names
    for kernel in ("dense", "tanh_backward", "relu_backward", "reparameterize", "diagonal_kl", "diagonal_log_prob"):
        assert f"kernel {kernel}" in names
    for name in ("cost Linear", "cost Quadratic", "cost Exponential", "cost Cosine", "learned baseline"):
        assert name in names
    assert "ELBO Bernoulli latents" in names
    for kernel in ("bernoulli_backward", "gaussian_shared", "gaussian_per_pixel"):
        assert f"kernel {kernel}" in names
    assert "linear autoencoder, L2" in names
    for row in ("denoising, GaussianNoise", "denoising, MaskingNoise", "denoising, SaltAndPepperNoise"):
        assert f"autoencoder {row}" in names
    for row in (
        "sparse, KL to a target",
        "sparse, L1",
        *(f"contractive, three layers, {a}" for a in ACTIVATIONS),
    ):
        assert f"autoencoder {row}" in names
    for row in ("closed KL, K=1, beta=1", "closed KL, K=5, beta=4", "sampled KL, K=5, beta=4"):
        assert f"ELBO {row}" in names


def off_by(factor, part=0):
    """Return a decorator that multiplies one result of a function by a factor."""

    def decorate(function):
        def wrong(*args, **kwargs):
            result = function(*args, **kwargs)
            if isinstance(result, tuple):
                return tuple(factor * r if i == part and r is not None else r for i, r in enumerate(result))
            return factor * result

        return wrong

    return decorate


PLANTED = {
    "kernel reparameterize_backward": (kernels, "reparameterize_backward", 0),
    "kernel diagonal_kl_backward": (kernels, "diagonal_kl_backward", 0),
    "kernel log_prob, dhead": (kernels, "diagonal_log_prob_backward", 0),
    "kernel log_prob, dz": (kernels, "diagonal_log_prob_backward", 1),
    "kernel bernoulli_backward": (kernels, "bernoulli_backward", 0),
    "kernel gaussian score": (kernels, "gaussian_shared", 1),
    "kernel per-pixel score": (kernels, "gaussian_per_pixel", 1),
    "Bernoulli backward": (likelihoods.Bernoulli, "backward", 0),
    "Gaussian backward": (likelihoods.Gaussian, "backward", 0),
    "GaussianPerPixel backward": (likelihoods.GaussianPerPixel, "backward", 0),
    "posterior backward": (DiagonalGaussian, "backward", 0),
    "posterior kl_backward": (DiagonalGaussian, "kl_backward", 0),
    **{f"{name} slope": (type(layer), "backward", 0) for name, layer in ACTIVATIONS.items()},
    "Dense dx": (Dense, "backward", 0),
    "cost slope": (costs.Cosine, "gradient", 0),
    **{
        f"{name} curvature": (type(ACTIVATIONS[name]), "curvature", 0)
        for name in ("tanh", "elu", "softplus", "sigmoid")
    },
    "sparse KL, dz": (penalties.KLSparsity, "backward", 0),
    "sparse KL, slope": (penalties.KLSparsity, "slope", 0),
    "sparse L1, dz": (penalties.L1Sparsity, "backward", 0),
    "contractive": (contraction.Contraction, "backward", 1),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_error_of_a_thousandth_is_caught(planted, monkeypatch):
    owner, name, part = PLANTED[planted]
    right = getattr(owner, name)

    def wrong(*args, **kwargs):
        result = right(*args, **kwargs)
        return None if result is None else off_by(1.001, part)(lambda: result)()

    monkeypatch.setattr(owner, name, wrong)
    assert not all(check.ok for check in gradient_checks())


@pytest.mark.parametrize("place", [0, -1], ids=["weight", "bias"])
def test_a_planted_error_in_what_backward_writes_is_caught(place, monkeypatch):
    right = Dense.backward

    def wrong(self, params, cache, dy, grads, need_dx=True):
        dx = right(self, params, cache, dy, grads, need_dx)
        grads[place] *= 1.001
        return dx

    monkeypatch.setattr(Dense, "backward", wrong)
    assert not all(check.ok for check in gradient_checks())


def test_a_planted_error_in_the_learned_variance_is_caught(monkeypatch):
    right = likelihoods.Gaussian.backward

    def wrong(self, params, cache, dlog_prob, grads):
        dout = right(self, params, cache, dlog_prob, grads)
        grads *= 1.001
        return dout

    monkeypatch.setattr(likelihoods.Gaussian, "backward", wrong)
    assert [check.name for check in gradient_checks() if not check.ok] == [
        "likelihood Gaussian, one learned variance, kernel gaussian_shared",
        "ELBO Gaussian, one learned variance",
    ]


@pytest.mark.parametrize("part", [0, 1], ids=["encoder", "decoder"])
def test_a_planted_error_in_the_whole_gradient_is_caught(part, monkeypatch):
    right = VAE.loss_and_grad

    def wrong(self, params, x, eps, grads, **how):
        result = right(self, params, x, eps, grads, **how)
        self.unpack(grads)[part][:] *= 1.001
        return result

    monkeypatch.setattr(VAE, "loss_and_grad", wrong)
    failed = [check.name for check in gradient_checks() if not check.ok]
    assert len([name for name in failed if name.startswith("ELBO closed") or name.startswith("ELBO sampled")]) == 8


def test_a_planted_error_in_the_learned_baseline_is_caught(monkeypatch):
    right = LearnedBaseline.loss_and_grad

    def wrong(self, params, x, target, grads):
        loss = right(self, params, x, target, grads)
        grads *= 1.001
        return loss

    monkeypatch.setattr(LearnedBaseline, "loss_and_grad", wrong)
    assert [check.name for check in gradient_checks() if not check.ok] == ["learned baseline, regression"]


@pytest.mark.parametrize("part", [0, 1], ids=["encoder", "decoder"])
def test_a_planted_error_in_the_enumerated_gradient_is_caught(part, monkeypatch):
    right = BernoulliVAE.loss_and_grad

    def wrong(self, params, x, eps, grads, **how):
        result = right(self, params, x, eps, grads, **how)
        self.unpack(grads)[part][:] *= 1.001
        return result

    monkeypatch.setattr(BernoulliVAE, "loss_and_grad", wrong)
    assert [check.name for check in gradient_checks() if not check.ok] == ["ELBO Bernoulli latents, by enumeration"]


def test_a_sign_error_in_one_activation_is_named(monkeypatch):
    right = ReLU.backward
    monkeypatch.setattr(ReLU, "backward", lambda *a, **k: -right(*a, **k))
    assert "layer ReLU, kernel relu_backward" in [check.name for check in gradient_checks() if not check.ok]
