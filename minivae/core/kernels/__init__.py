"""Loops on plain arrays, compiled by Numba, by topic.

Every kernel knows arrays only: noise comes in as an argument, nothing is checked or printed, and the
result has the dtype of the input (float32 or float64). Shapes: B examples, K draws, L latents,
D data dimensions, R = K * B decoder rows. Row r of the decoder belongs to example r % B.

No kernel calls a kernel of another file: Numba's cache on disk would not see an edit there. The one exception is
``exponential``, whose edits the cache is told of (``compiled``). ``tests/reference.py`` holds one NumPy line for each.
"""

from minivae.core.kernels.compiled import LOG_2PI
from minivae.core.kernels.convolution import conv, conv_backward, conv_transpose, conv_transpose_backward
from minivae.core.kernels.estimators import earlier_average, pathwise_rows, score_rows
from minivae.core.kernels.flows import (
    gate,
    gate_backward,
    planar,
    planar_backward,
    planar_bend,
    planar_bend_backward,
    planar_inverse,
    planar_slope,
)
from minivae.core.kernels.full import full_backward, full_log_prob, full_sample, full_slope
from minivae.core.kernels.gaussian import (
    diagonal_kl,
    diagonal_kl_backward,
    diagonal_log_prob,
    reparameterize,
    reparameterize_backward,
    reparameterize_score,
)
from minivae.core.kernels.layers import dense, dense_backward, relu, relu_backward, tanh, tanh_backward
from minivae.core.kernels.likelihoods import bernoulli, gaussian_per_pixel, gaussian_shared, weigh_rows
from minivae.core.kernels.optimisers import adam, rmsprop
from minivae.core.kernels.recurrent import gru_backward, gru_step

__all__ = [
    "LOG_2PI",
    "adam",
    "bernoulli",
    "conv",
    "conv_backward",
    "conv_transpose",
    "conv_transpose_backward",
    "dense",
    "dense_backward",
    "diagonal_kl",
    "diagonal_kl_backward",
    "diagonal_log_prob",
    "earlier_average",
    "full_backward",
    "full_log_prob",
    "full_sample",
    "full_slope",
    "gate",
    "gate_backward",
    "gaussian_per_pixel",
    "gaussian_shared",
    "gru_backward",
    "gru_step",
    "pathwise_rows",
    "planar",
    "planar_backward",
    "planar_bend",
    "planar_bend_backward",
    "planar_inverse",
    "planar_slope",
    "relu",
    "relu_backward",
    "reparameterize",
    "reparameterize_backward",
    "reparameterize_score",
    "rmsprop",
    "score_rows",
    "tanh",
    "tanh_backward",
    "weigh_rows",
]
