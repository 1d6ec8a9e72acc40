"""Reparameterizable families: location-scale, inverse CDF, composition, squares, implicit gradients, rejection."""

from minivae.classical.families.composition import LogNormal
from minivae.classical.families.family import Family
from minivae.classical.families.gammas import Beta, Dirichlet, Gamma
from minivae.classical.families.inverse_cdf import Exponential, Kumaraswamy, TruncatedNormal, Weibull
from minivae.classical.families.leibniz import LeibnizTerms, MovingUniform, leibniz_terms
from minivae.classical.families.location_scale import Cauchy, Gumbel, Laplace, Logistic, Normal, StudentT
from minivae.classical.families.quadrature import uniform_nodes
from minivae.classical.families.rejection import BetaByRejection, DirichletByRejection, GammaByRejection
from minivae.classical.families.squares import ChiSquare, NoncentralChiSquare

__all__ = [
    "Beta",
    "BetaByRejection",
    "Cauchy",
    "ChiSquare",
    "Dirichlet",
    "DirichletByRejection",
    "Exponential",
    "Family",
    "Gamma",
    "GammaByRejection",
    "Gumbel",
    "Kumaraswamy",
    "Laplace",
    "LeibnizTerms",
    "LogNormal",
    "Logistic",
    "MovingUniform",
    "NoncentralChiSquare",
    "Normal",
    "StudentT",
    "TruncatedNormal",
    "Weibull",
    "leibniz_terms",
    "uniform_nodes",
]
