"""REBAR and RELAX: their control variates leave no bias, and learn down the gradient of the measured variance."""

import numpy as np
import pytest

from minivae.distributions.bits import Bits
from minivae.distributions.categorical import Categorical
from minivae.estimators.codes import QuadraticForm, seen_at, squared_distance
from minivae.estimators.control import Control, ControlNetwork, LearnedControl, controlled
from minivae.estimators.exact.codes import code_moments, noise_nodes
from minivae.models.code_costs import CodeCost
from minivae.models.vae import VAE
from minivae.nn.gradcheck import check_gradient
from minivae.nn.optim import SGD
from tests.support import binary

NET = ControlNetwork(3, 2, n_hidden=4)
PAIR = ControlNetwork(2, 2, n_hidden=4)
X = np.array([[0.3, -1.0]])


def cost_of(rng, n=3):
    return QuadraticForm(0.3, rng.normal(size=n), rng.normal(size=(n, n)))


def control_of(params, network=NET):
    return Control(params, np.full_like(params, np.nan), network, X)


def random_params(rng, network=NET):
    own = 0.5 * rng.normal(size=network.network.n_params)
    return np.concatenate([[0.8, -0.3], own])


@pytest.mark.parametrize(("posterior", "net"), [(Bits(2), PAIR), (Categorical(3), NET)])
def test_any_control_variate_leaves_no_bias(posterior, net, rng):
    n = posterior.n_latent
    cost, head, params = cost_of(rng, n), rng.normal(size=n), random_params(rng, net)
    found = code_moments("relax", cost, posterior, head, baseline=control_of(params, net))
    np.testing.assert_allclose(found.mean, code_moments("exact", cost, posterior, head).mean, atol=1e-8)
    assert (found.variance > 1e-3).all()


@pytest.mark.parametrize("network", [NET, None])
@pytest.mark.parametrize("posterior", [Bits(3), Categorical(3)])
def test_what_learns_follows_the_gradient_of_the_measured_variance(posterior, network, rng):
    cost, head, eps = cost_of(rng), rng.normal(size=3), rng.random((7, 3))
    seen = seen_at(posterior, head, eps, cost)
    params = random_params(rng)[: None if network else 2]

    def value(params):
        return float(np.mean(np.sum(controlled(seen, control_of(params, network), 0.6) ** 2, axis=2)))

    control = control_of(params, network)
    controlled(seen, control, 0.6)
    assert check_gradient(value, control.grads, params).ok


def test_over_all_noise_it_is_the_gradient_of_the_exact_variance():
    # nodes of equal weight on both sides of the jump
    cost, head = squared_distance(0.45), np.zeros(1)
    eps = ((np.arange(4000) + 0.5) / 4000)[:, None]
    seen = seen_at(Bits(1), head, eps, cost)
    params = np.array([0.7, 0.2])
    control = Control(params, np.empty(2))
    controlled(seen, control, 0.5)

    def variance(params):
        return code_moments(
            "rebar", cost, Bits(1), head, baseline=Control(params, np.empty(2)), temperature=0.5
        ).variance[0]

    h = 1e-5
    expected = [(variance(params + h * e) - variance(params - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(control.grads, expected, rtol=1e-4)


def test_rebar_at_eta_zero_is_the_score_function(rng):
    cost, head, eps = cost_of(rng), rng.normal(size=3), rng.random((5, 3))
    seen = seen_at(Bits(3), head, eps, cost)
    g = controlled(seen, Control(np.zeros(2), np.empty(2)), 0.5)
    np.testing.assert_allclose(g, seen.f[:, :, None] * seen.score, rtol=1e-14)


def test_the_temperature_is_that_of_the_objective_times_what_is_learnt(rng):
    cost, head, eps = cost_of(rng), rng.normal(size=3), rng.random((5, 3))
    seen = seen_at(Bits(3), head, eps, cost)
    one, other = (
        controlled(seen, Control(np.array([0.8, r]), np.empty(2)), t) for r, t in ((np.log(3), 0.2), (0, 0.6))
    )
    np.testing.assert_allclose(one, other, rtol=1e-12)
    plain = controlled(seen, 0.0, 0.6)
    np.testing.assert_allclose(plain, controlled(seen, Control(np.array([1.0, 0]), np.empty(2)), 0.6), rtol=1e-14)


def test_relax_with_a_network_of_nothing_is_rebar(rng):
    cost, head, eps = cost_of(rng), rng.normal(size=3), rng.random((5, 3))
    seen = seen_at(Bits(3), head, eps, cost)
    rule = LearnedControl(NET)
    state = rule.init(np.random.default_rng(0))
    control = rule.predict(state, X)
    np.testing.assert_allclose(controlled(seen, control, 0.5), controlled(seen, 0.0, 0.5), rtol=1e-14)
    assert np.abs(control.grads[-NET.n_hidden - 1 :]).max() > 1e-3  # from which it sets out


def test_the_network_has_its_slope_and_the_gradient_of_both(rng):
    params, y, x = rng.normal(size=NET.network.n_params), rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    r, slope, cache = NET.forward(params, y, x)
    np.testing.assert_allclose(r, NET.network.forward(params, np.concatenate([y, x], axis=1))[0][:, 0], rtol=1e-12)
    dr, dslope = rng.normal(size=6), rng.normal(size=(6, 3))
    assert check_gradient(
        lambda y: float(NET.forward(params, y.reshape(6, 3), x)[0] @ dr), (slope * dr[:, None]).ravel(), y.ravel()
    ).ok

    def value(params):
        r, slope, _ = NET.forward(params, y, x)
        return float(dr @ r + np.sum(dslope * slope))

    grads = np.full_like(params, np.nan)
    NET.backward(params, cache, dr, dslope, grads)
    assert check_gradient(value, grads, params).ok


def test_learning_lowers_the_variance(rng):
    cost, head = squared_distance(0.2), np.log([0.3 / 0.7])
    for network in (None, ControlNetwork(1, 2)):
        rule = LearnedControl(network)
        state = rule.init(np.random.default_rng(0))
        before = code_moments("relax", cost, Bits(1), head, baseline=rule.predict(state, X)).variance
        for _ in range(300):
            seen = seen_at(Bits(1), head, rng.random((50, 1)), cost)
            controlled(seen, rule.predict(state, X), 0.5)
            rule.update(state, X, seen.f)
        found = code_moments("relax", cost, Bits(1), head, baseline=rule.predict(state, X))
        # REBAR's best is .0367; a free control variate of one bit can take all away
        assert found.variance < (0.0375 if network is None else 0.01), before


def test_an_update_is_a_step_of_the_optimiser():
    rule = LearnedControl(optimizer=SGD(0.5))
    state = rule.init(np.random.default_rng(0))
    state["grads"][:] = 0.2, -0.4
    rule.update(state, X, np.zeros(1))
    np.testing.assert_allclose(state["params"], [0.9, 0.2], rtol=1e-14)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian-learned", "gaussian-per-pixel"])
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_the_cost_of_codes_has_slope_and_bend(likelihood, activation, rng):
    model = VAE.mlp(4, 3, [5, 6], activation, likelihood, posterior="bits")
    params = model.init(rng) + 0.3 * rng.normal(size=model.n_params)
    x, z, along, d = binary(rng, 2), rng.random((3, 2, 3)), *rng.normal(size=(2, 3, 2, 3))
    cost = CodeCost(model, model.unpack(params)[-2:], x)
    at = cost(z)
    assert check_gradient(lambda z: float(cost(z.reshape(3, 2, 3)).value.sum()), at.slope().ravel(), z.ravel()).ok

    def value(z):
        return float(np.sum(d * cost(z.reshape(3, 2, 3)).slope()))

    # the second derivative is symmetric: the bend along d is the gradient of d . slope
    assert check_gradient(value, at.bend(d).ravel(), z.ravel()).ok
    np.testing.assert_allclose(np.sum(along * at.bend(d)), np.sum(d * at.bend(along)), rtol=1e-10)


def test_nodes_say_nothing_of_many_latents():
    assert noise_nodes(Bits(4), np.zeros(4)) is None
    assert noise_nodes(Categorical(6, 3), np.zeros(6)) is None


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="n_hidden must be an integer of at least 1, got 0"):
        ControlNetwork(1, 1, 0)
    with pytest.raises(ValueError, match="network must be a ControlNetwork"):
        LearnedControl("tanh")
