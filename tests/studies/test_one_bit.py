"""One bit in n pixels: the exact losses, and a training that ends at them."""

import numpy as np
import pytest

from minivae.estimators import Elbo
from minivae.studies.one_bit import one_bit_data, one_bit_loss, one_bit_optimum, train_one_bit

# worked out apart from this package, to ten digits
LOSSES = {2: 0.9075575703, 3: 0.9858938800, 5: 1.0657867582, 10: 1.1537145682, 100: 1.3595987201}


@pytest.mark.parametrize("n_x", LOSSES)
def test_the_least_loss(n_x):
    loss, rho = one_bit_optimum(n_x)
    assert abs(loss - LOSSES[n_x]) < 5e-10
    assert abs(one_bit_loss(n_x, np.array(rho)) - loss) < 1e-12
    assert one_bit_loss(n_x, np.array(0.0)) == pytest.approx(n_x * np.log(2), rel=1e-12)
    assert rho > 1.7


def test_a_single_pixel_is_not_worth_a_latent():
    assert one_bit_optimum(1) == (pytest.approx(np.log(2), rel=1e-14), 0.0)
    assert (one_bit_loss(1, np.linspace(0.01, 10, 400)) > np.log(2)).all()
    # the loss is flat to the eighth order: 4e-6 above at rho = 0.3
    assert abs(one_bit_loss(1, np.array(0.3)) - np.log(2) - 4.0e-6) < 1e-7


def test_with_beta_it_is_worth_one_where_there_are_more_than_beta_pixels():
    assert one_bit_optimum(3, beta=3.0)[1] == 0.0
    loss, rho = one_bit_optimum(3, beta=2.9)
    assert rho > 0
    assert loss < 3 * np.log(2)


@pytest.mark.parametrize("n_x", [1, 2, 5, 10])
def test_training_ends_at_the_exact_loss(n_x):
    model, params, loss = train_one_bit(n_x, n_nodes=60)
    exact = one_bit_optimum(n_x)[0]
    assert abs(loss - exact) < 1e-3
    x = one_bit_data(n_x)
    # the bound, on nodes that the training has not seen
    eps, w = np.polynomial.hermite_e.hermegauss(100)
    terms = model.terms(params, x, eps=eps[:, None, None], weights=w / w.sum())
    assert abs(-terms.elbo.mean() - exact) < 1e-3
    assert -terms.elbo.mean() > np.log(2) - 1e-9  # no ELBO exceeds log p(x)


def test_too_large_a_beta_makes_it_collapse():
    model, params, loss = train_one_bit(2, Elbo(beta=2.0))
    assert abs(loss - 2 * np.log(2)) < 1e-3
    mu = model.embed(params, one_bit_data(2))[:, 0]
    assert abs(mu[1] - mu[0]) < 0.7
