"""The boxes put together: VAE and autoencoder, their gradients, their bounds."""

from minivae.models.annealing import AnnealedMarginal, annealed_log_marginal
from minivae.models.autoencoder import Autoencoder
from minivae.models.base import Model
from minivae.models.belief import belief_network
from minivae.models.bounds import CollapsedWeightsWarning, LogMarginal, iwae_bound, log_marginal, log_weights
from minivae.models.contraction import Contraction, jacobian
from minivae.models.corruptions import CORRUPTIONS, Corruption, GaussianNoise, MaskingNoise, SaltAndPepperNoise
from minivae.models.coupling import CouplingTerms, coupling_terms, regularised_autoencoder
from minivae.models.draws import EncoderDraws, EncoderEstimator, encoder_draws, encoder_states, head_moments
from minivae.models.generation import attribute_direction, interpolate, near, with_attribute
from minivae.models.networks import convolutional, recurrent
from minivae.models.penalties import KLSparsity, L1Sparsity, Penalty
from minivae.models.sequence_vae import SequenceVAE
from minivae.models.vae import VAE

__all__ = [
    "CORRUPTIONS",
    "VAE",
    "AnnealedMarginal",
    "Autoencoder",
    "CollapsedWeightsWarning",
    "Contraction",
    "Corruption",
    "CouplingTerms",
    "EncoderDraws",
    "EncoderEstimator",
    "GaussianNoise",
    "KLSparsity",
    "L1Sparsity",
    "LogMarginal",
    "MaskingNoise",
    "Model",
    "Penalty",
    "SaltAndPepperNoise",
    "SequenceVAE",
    "annealed_log_marginal",
    "attribute_direction",
    "belief_network",
    "convolutional",
    "coupling_terms",
    "encoder_draws",
    "encoder_states",
    "head_moments",
    "interpolate",
    "iwae_bound",
    "jacobian",
    "log_marginal",
    "log_weights",
    "near",
    "recurrent",
    "regularised_autoencoder",
    "with_attribute",
]
