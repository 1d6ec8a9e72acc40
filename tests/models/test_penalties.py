"""Penalties: values against other routes to them. Their gradients are rows of the gradient suite."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import special

from minivae.models.autoencoder import Autoencoder
from minivae.models.contraction import Contraction, jacobian
from minivae.models.penalties import KLSparsity, L1Sparsity
from minivae.nn.activations import ACTIVATIONS, ELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from minivae.nn.dense import Dense
from minivae.nn.sequential import Sequential, mlp

NETS = {
    "linear": mlp([5, 3]),
    **{name: mlp([5, 7, 6, 3], name) for name in ACTIVATIONS},
    "mixed": Sequential([Dense(5, 6), ELU(), Sequential([Dense(6, 4), Softplus(), Tanh()]), Dense(4, 3), Sigmoid()]),
}


def brute_force(net, params, x, h=1e-5):
    """Return dz/dx by moving each data dimension of each example on its own."""
    columns = []
    for j in range(x.shape[1]):
        e = h * np.eye(x.shape[1])[j]
        columns.append((net.forward(params, x + e)[0] - net.forward(params, x - e)[0]) / (2 * h))
    return np.stack(columns, axis=2)


@pytest.mark.parametrize("name", NETS)
def test_the_penalty_is_the_squared_norm_of_the_brute_force_jacobian(name, rng):
    net = NETS[name]
    params, x = net.init(rng) + 0.1 * rng.normal(size=net.n_params), rng.normal(size=(4, 5))
    exact = brute_force(net, params, x)
    np.testing.assert_allclose(jacobian(net, params, x), exact, atol=1e-8)
    z, caches = net.forward(params, x)
    statistics, _ = Contraction().forward(net, params, z, caches)
    np.testing.assert_allclose(statistics[:, 0], (exact**2).sum((1, 2)), rtol=1e-8)
    model = Autoencoder(net, mlp([3, 5]), Autoencoder.mlp(5, 3).likelihood, penalty=Contraction(0.7))
    full = np.concatenate([params, mlp([3, 5]).init(rng)])
    assert abs(model.terms(full, x).penalty - 0.7 * (exact**2).sum() / 4) < 1e-8  # a mean over examples


def test_one_sigmoid_layer_has_the_known_closed_form(rng):
    # ||J||^2 = sum_j [z_j (1 - z_j)]^2 ||w_j||^2
    net = Sequential([Dense(5, 3), Sigmoid()])
    params, x = net.init(rng), rng.normal(size=(4, 5))
    W, _ = net.layers[0].unpack(params)
    z, caches = net.forward(params, x)
    expected = (z * (1 - z)) ** 2 @ (W**2).sum(0)
    np.testing.assert_allclose(Contraction().forward(net, params, z, caches)[0][:, 0], expected, rtol=1e-13)


def test_the_gradient_of_a_linear_contraction_is_twice_its_weights(rng):
    net = Sequential([Dense(5, 3)])
    params, x = net.init(rng), rng.normal(size=(4, 5))
    z, caches = net.forward(params, x)
    statistics, cache = Contraction(2.0).forward(net, params, z, caches)
    slope = Contraction(2.0).slope(statistics.mean(0))
    _, grads = Contraction(2.0).backward(net, params, caches, cache, np.full_like(statistics, slope[0] / 4))
    W, b = net.layers[0].unpack(grads)
    np.testing.assert_allclose(W, 4 * net.layers[0].unpack(params)[0], rtol=1e-13)
    assert not b.any()


def test_a_code_scaled_down_and_a_decoder_scaled_up_evade_the_penalty(rng):
    # as the docstring warns: same reconstruction, penalty times c^2, and the scale-free ratio unchanged
    model, c = Autoencoder.mlp(4, 2, [6], "tanh", penalty=Contraction(1.0)), 0.1
    params, x = model.init(rng), rng.normal(size=(30, 4))
    scaled = params.copy()
    parts = dict(model.named(scaled))
    parts["encoder.2.weight"][:] *= c
    parts["encoder.2.bias"][:] *= c
    parts["decoder.0.weight"][:] /= c
    before, after = model.terms(params, x), model.terms(scaled, x)
    np.testing.assert_allclose(after.log_lik, before.log_lik, rtol=1e-12)
    assert abs(after.penalty / before.penalty - c**2) < 1e-12
    ratios = [t.penalty / model.embed(p, x).var(0).sum() for t, p in ((before, params), (after, scaled))]
    assert abs(ratios[0] / ratios[1] - 1) < 1e-12


def test_the_mean_activation_is_over_the_batch(rng):
    model = Autoencoder.mlp(4, 3, penalty=KLSparsity(0.2, 2.0))
    params, x = model.init(rng), rng.normal(size=(30, 4))
    rho = model.embed(params, x).mean(0)
    kl = special.rel_entr(0.2, rho) + special.rel_entr(0.8, 1 - rho)
    assert abs(model.terms(params, x).penalty - 2 * kl.sum()) < 1e-12
    # the mean of a KL for each example is another, larger number, by Jensen
    z = model.embed(params, x)
    each = (special.rel_entr(0.2, z) + special.rel_entr(0.8, 1 - z)).sum(1).mean()
    assert each > kl.sum() + 0.01


def test_no_penalty_at_the_target_and_more_on_both_sides():
    penalty, rho = KLSparsity(0.3), np.linspace(0.01, 0.99, 99)
    values = np.array([penalty.value(np.array([r])) for r in rho])
    assert abs(values[29]) < 1e-15  # rho = 0.3
    assert (np.diff(values[:30]) < 0).all()
    assert (np.diff(values[29:]) > 0).all()


def test_l1_is_the_mean_over_examples_of_the_sum_over_units(rng):
    model = Autoencoder.mlp(4, 3, penalty=L1Sparsity(0.5))
    params, x = model.init(rng), rng.normal(size=(30, 4))
    assert abs(model.terms(params, x).penalty - 0.5 * np.abs(model.embed(params, x)).sum() / 30) < 1e-12


def test_l1_has_no_slope_at_zero():
    penalty, z = L1Sparsity(0.5), np.array([[0.0, -1.0, 2.0]])
    _, signs = penalty._forward(z)
    np.testing.assert_array_equal(penalty._backward(signs, np.full((1, 1), 0.5)), [[0.0, -0.5, 0.5]])


def test_a_layer_without_curvature_is_refused_before_training():
    @dataclass(frozen=True)
    class Square(Activation):
        def _forward(self, x):
            return x**2, x

    with pytest.raises(ValueError, match="activations with a curvature for Contraction, got Square"):
        Autoencoder(
            Sequential([Dense(4, 3), Sequential([Square(), Dense(3, 2)])]),
            mlp([2, 4]),
            Autoencoder.mlp(4, 2).likelihood,
            penalty=Contraction(),
        )
    with pytest.raises(ValueError, match="got Square"):
        jacobian(Sequential([Dense(4, 3), Square()]), np.zeros(15), np.ones((2, 4)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KLSparsity(0.0), "target must be a finite number greater than 0 and below 1, got 0.0"),
        (lambda: KLSparsity(1.0), "target must be a finite number greater than 0 and below 1, got 1.0"),
        (lambda: KLSparsity(weight=-1), "weight must be a finite number at least 0, got -1"),
        (lambda: L1Sparsity(-1), "weight must be a finite number at least 0, got -1"),
        (lambda: Contraction(float("inf")), "weight must be a finite number at least 0, got inf"),
    ],
)
def test_impossible_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_kink_of_relu_has_no_part_in_the_gradient(rng):
    # two piecewise linear layers: J = W1 D W2 with D fixed, so the gradient is that of ||W1 D W2||^2
    net = Sequential([Dense(3, 4), ReLU(), Dense(4, 2)])
    params, x = net.init(rng), rng.normal(size=(1, 3))
    z, caches = net.forward(params, x)
    statistics, cache = Contraction().forward(net, params, z, caches)
    _, grads = Contraction().backward(net, params, caches, cache, np.ones_like(statistics))
    (W1, b1), (W2, _) = (net.layers[i].unpack(params[net.slices[i]]) for i in (0, 2))
    D = np.diag((x @ W1 + b1 > 0)[0].astype(float))
    J = W1 @ D @ W2
    dW1, db1 = net.layers[0].unpack(grads[net.slices[0]])
    np.testing.assert_allclose(dW1, 2 * J @ (D @ W2).T, atol=1e-13)
    assert not db1.any()
