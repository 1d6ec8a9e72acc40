"""The exact mean and variance of a single draw's gradient for a VAE's encoder: sums over nodes, or over all states."""

from collections.abc import Sequence

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.nodes import normal_nodes
from minivae.estimators.moments import leave_one_out_excess
from minivae.estimators.objectives import Elbo
from minivae.models.draws import EncoderDraws, EncoderEstimator, encoder_draws, encoder_states
from minivae.models.vae import VAE


def weighted_nodes(
    model: VAE, params: Array, x: Array, step: float = 0.25, far: float = 7.0
) -> tuple[EncoderDraws, Array]:
    """Return draws that stand for q(z|x) and their weights, shape (K, B), which sum to one for each example.

    All states with q(z|x) where z is discrete; where it is real, nodes of the noise in steps of ``step`` out to
    ``far`` standard deviations.

    Examples
    --------
    >>> model, rng = VAE.mlp(n_x=4, n_latent=3, posterior="bits"), np.random.default_rng(0)
    >>> _, w = weighted_nodes(model, model.init(rng), np.ones((2, 4)))
    >>> w.shape, w.sum(axis=0).round(12)
    ((8, 2), array([1., 1.]))
    """
    if model.posterior.n_states is not None:
        states = encoder_states(model, params, x)
        return states, np.exp(states.log_q)
    eps, w = normal_nodes(model.posterior.n_latent, step, far)
    return encoder_draws(model, params, x, eps), np.repeat(w[:, None], len(x), axis=1)


class EncoderMoments:
    """Exact mean and covariance of the gradient of the ELBO for the encoder's head, and variance for its weights.

    With nodes z_k, weights w_kb and the rows g_kb of an estimator, both of example b:

        mean eta_b = sum_k w_kb g_kb,   covariance C_b = sum_k w_kb (g_kb - eta_b) (g_kb - eta_b)^T,
        variance for all weights of the batch mean, in sum: sum_b <C_b, S_b S_b^T> / B^2,   S_b = d head_b / d weights

    Parameters
    ----------
    model, params
        A VAE and its flat parameters.
    x : array of shape (B, D)
    parts : sequence of str
        Names of the parts of the head, all of one length: ("mu", "log_var"), say.
    nodes : pair, optional
        Of ``EncoderDraws`` and weights (K, B); ``weighted_nodes`` unless given.

    Attributes
    ----------
    eta : array of shape (B, H)
        The exact gradient of each example for the head.
    eta_weights : array
        That of the batch mean for the encoder's weights.

    Examples
    --------
    >>> model, rng = VAE.mlp(n_x=4, n_latent=3, posterior="bits"), np.random.default_rng(0)
    >>> exact = EncoderMoments(model, model.init(rng), np.ones((2, 4)), ("phi",))
    >>> list(exact.variances(EncoderEstimator(Elbo("score"))))
    ['phi', 'encoder']
    """

    def __init__(
        self, model: VAE, params: Array, x: Array, parts: Sequence[str], nodes: tuple[EncoderDraws, Array] | None = None
    ) -> None:
        self.model, self.params, self.x = model, params, x
        self.nodes, self.w = weighted_nodes(model, params, x) if nodes is None else nodes
        n_head = model.posterior.n_head
        width = n_head // len(parts)
        self.parts = {part: slice(i * width, (i + 1) * width) for i, part in enumerate(parts)}
        mean_f = np.sum(self.w * self.nodes.values(), axis=0)
        rows = self.nodes.rows(Elbo("score"), mean_f[:, None], n_group=1)
        self.eta = np.einsum("kb,kbh->bh", self.w, rows)
        self.encoder = model.unpack(params)[0]
        _, self._cache = model.encoder.forward(self.encoder, x)
        self.eta_weights = self.through(self.eta)
        self.grams = self._grams()

    def through(self, dhead: Array) -> Array:
        """Return the gradient of the batch mean for the encoder's weights, by that of each example for the head."""
        grads = np.empty_like(self.encoder)
        self.model.encoder.backward(self.encoder, self._cache, dhead / len(self.x), grads, need_dx=False)
        return grads

    def _grams(self) -> Array:
        """<d head_i / d weights, d head_j / d weights> of each example, shape (B, H, H)."""
        n_head = self.eta.shape[1]
        grams = np.empty((len(self.x), n_head, n_head))
        slopes = np.empty((n_head, self.encoder.size))
        for b in range(len(self.x)):
            _, cache = self.model.encoder.forward(self.encoder, self.x[b : b + 1])
            for i, unit in enumerate(np.eye(n_head)):
                self.model.encoder.backward(self.encoder, cache, unit[None], slopes[i], need_dx=False)
            grams[b] = slopes @ slopes.T
        return grams

    def covariance(self, how: EncoderEstimator) -> Array:
        """Return the exact covariance of one draw's gradient for the head, shape (B, H, H).

        Leave-one-out: that of the mean as baseline, and what the other draws' noise and the shared draws add,
        (Var f E[s s^T] + E[f s] E[f s]^T) / (n - 1).
        """
        if how.objective.estimator != "score-leave-one-out":
            return self._second(self.nodes.rows(how.objective, how.baseline, n_group=1) - self.eta)
        f, score = self.nodes.values(how.objective), self.nodes.score
        centred = f - np.sum(self.w * f, axis=0)
        one = Elbo("score", how.objective.final_beta, how.objective.kl)
        rows = self.nodes.rows(one, np.sum(self.w * f, axis=0)[:, None], n_group=1) - self.eta
        fs = np.einsum("kb,kb,kbi->bi", self.w, centred, score)
        variance = np.sum(self.w * centred**2, axis=0)
        outer = fs[:, :, None] * fs[:, None, :]
        excess = leave_one_out_excess(variance[:, None, None], self._second(score), outer, how.n_group)
        return self._second(rows) + excess

    def _second(self, rows: Array) -> Array:
        """E[rows rows^T] of each example, shape (B, H, H)."""
        return np.einsum("kb,kbi,kbj->bij", self.w, rows, rows, optimize=True)

    def variances(self, how: EncoderEstimator) -> dict[str, float]:
        """Return the exact variance of an entry of each part of the head, on average, and of all weights in sum."""
        covariance = self.covariance(how)
        diagonal = np.diagonal(covariance, axis1=1, axis2=2)
        found = {part: float(diagonal[:, columns].mean()) for part, columns in self.parts.items()}
        return found | {"encoder": float(np.sum(self.grams * covariance)) / len(self.x) ** 2}
