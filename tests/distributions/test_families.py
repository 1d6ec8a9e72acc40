"""Posteriors and likelihoods as themselves or by their names."""

import pytest

from minivae.distributions.autoregressive import InverseAutoregressiveFlow
from minivae.distributions.bits import Bits
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.families import POSTERIORS, named_posterior
from minivae.distributions.full import FullGaussian
from minivae.distributions.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, named_likelihood
from minivae.distributions.planar import PlanarFlow
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.distributions.symmetric import SymmetricGaussian


def test_a_name_makes_a_posterior_of_so_many_latents():
    assert named_posterior("diagonal", 3) == DiagonalGaussian(3)
    assert named_posterior("bits", 3) == Bits(3)
    assert named_posterior("full", 3) == FullGaussian(3)
    assert named_posterior("symmetric", 3) == SymmetricGaussian(3)
    assert named_posterior("iaf", 3) == InverseAutoregressiveFlow(3)
    assert named_posterior("planar", 3) == PlanarFlow(3)
    for name, make in POSTERIORS.items():
        assert named_posterior(name, 4) == make(4)
        assert make(4).n_latent == make(4).prior().n_latent == 4


def test_each_posterior_brings_its_prior():
    assert DiagonalGaussian(3).prior() == StandardNormal(3)
    assert Bits(3).prior() == FairBits(3)
    assert (DiagonalGaussian(3).n_head, Bits(3).n_head) == (6, 3)
    assert (FullGaussian(3).n_head, SymmetricGaussian(3).n_head) == (9, 9)
    assert (InverseAutoregressiveFlow(3, n_context=5).n_head, PlanarFlow(3, 2).n_head) == (11, 20)
    for name in ("full", "symmetric", "iaf", "planar"):
        assert named_posterior(name, 3).prior() == StandardNormal(3)


def test_a_posterior_given_as_itself_must_have_as_many_latents():
    assert named_posterior(Bits(3), 3) is not None
    with pytest.raises(ValueError, match="posterior must have n_latent=2 latents, got 3"):
        named_posterior(Bits(3), 2)
    for bad in (Bits, 3, None):
        with pytest.raises(ValueError, match="posterior must be a posterior or its name, got"):
            named_posterior(bad, 2)
    with pytest.raises(ValueError, match="Did you mean 'diagonal'"):
        named_posterior("diagnal", 2)


def test_a_likelihood_is_itself_or_its_name_or_the_default():
    assert named_likelihood(None, Bernoulli()) == Bernoulli()
    assert named_likelihood(Gaussian(0.5), Bernoulli()) == Gaussian(0.5)
    for name, likelihood in LIKELIHOODS.items():
        assert named_likelihood(name, Bernoulli()) == likelihood
    for bad in (Gaussian, 3):
        with pytest.raises(ValueError, match="likelihood must be a likelihood, got"):
            named_likelihood(bad, Bernoulli())
