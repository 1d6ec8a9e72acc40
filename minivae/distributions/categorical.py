"""The posterior of independent categories: z holds groups of one-hot rows, through whose draw no path leads."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.boxes import NoParameters
from minivae.core.registry import saved
from minivae.distributions.bits import MOST_STATES, check_uniform, inside_of_unit
from minivae.distributions.priors import UniformCategories


def all_codes(n_groups: int, n_categories: int) -> Array:
    """Return every code of groups of one-hot rows, shape (C^G, G C), the last group changing fastest.

    >>> all_codes(1, 3)
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    n_groups, n_categories = checks.width(n_groups, "n_groups"), checks.width(n_categories, "n_categories")
    if n_groups * np.log2(n_categories) > np.log2(MOST_STATES) + 1e-9:
        raise ValueError(
            f"n_groups must be small enough to enumerate at most {MOST_STATES:,} states, got {n_groups} groups of "
            f"{n_categories}. Draw them instead."
        )
    index = np.indices((n_categories,) * n_groups).reshape(n_groups, -1).T  # (S, G)
    return np.eye(n_categories)[index].reshape(len(index), -1)


@saved
@dataclass(frozen=True)
class Categorical(NoParameters):
    """q(z|x) = prod_g prod_c theta_gc^z_gc, theta_g = softmax(phi_g); the head holds the logits phi.

        log q(z|x) = sum_g z_g . phi_g - log sum_c exp(phi_gc),   d log q / dphi = z - theta

    z is one-hot in each group of C entries. A draw is the largest of log theta_c - log(-log u_c), u uniform in [0, 1),
    so that it jumps, and its derivative is zero wherever it exists.

    Parameters
    ----------
    n_latent : int
        Width of z: the number of groups times C.
    n_categories : int, optional
        C, of each group; all entries are one group unless given.

    Raises
    ------
    ValueError
        If C is below 2 or does not divide n_latent.

    References
    ----------
    C. Maddison, D. Tarlow, T. Minka, "A* sampling", 2014: the largest of logits with Gumbel noise.

    Examples
    --------
    >>> q = Categorical(4, n_categories=2)
    >>> z, log_q, _ = q.sample(q.init(), np.zeros((1, 4)), eps=np.array([[[0.2, 0.7, 0.9, 0.3]]]))
    >>> z.ravel(), np.exp(log_q).round(12).ravel()
    (array([0., 1., 1., 0.]), array([0.25]))
    """

    n_latent: int
    n_categories: int | None = None
    has_path = False

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")
        if self.n_categories is None:
            object.__setattr__(self, "n_categories", self.n_latent)
        if checks.width(self.n_categories, "n_categories") < 2:
            raise ValueError(
                f"n_categories must be at least 2, got {self.n_categories}: a single category says nothing. Use "
                f"n_latent and n_categories of 2 or more."
            )
        if self.n_latent % self._c:
            raise ValueError(
                f"n_latent must hold whole groups of {self.n_categories} categories, got {self.n_latent}. Use "
                f"n_latent={self._c * max(1, self.n_latent // self._c)}, say."
            )

    @property
    def _c(self) -> int:
        return self.n_categories or self.n_latent

    @property
    def n_groups(self) -> int:
        """Number G of categorical variables."""
        return self.n_latent // self._c

    @property
    def n_head(self) -> int:
        """One logit a category."""
        return self.n_latent

    @property
    def n_states(self) -> int | None:
        """C^G, up to 65,536."""
        return self._c**self.n_groups if self.n_groups * np.log2(self._c) <= np.log2(MOST_STATES) + 1e-9 else None

    def prior(self) -> UniformCategories:
        """Return categories that are all alike."""
        return UniformCategories(self.n_latent, self._c)

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return draws uniform in [0, 1)."""
        return checks.generator(rng).random(checks.shape_of(shape), dtype=checks.float_dtype(dtype))

    def check_noise(self, eps: Array) -> None:
        """Refuse values outside [0, 1]."""
        check_uniform(eps, "categories")

    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:
        """Return the codes, their log-probability, and the cache."""
        head = checks.look(head, "head", (None, self.n_latent))
        y = self.behind(head, eps)
        z = self._one_hot(y)
        return z, self.log_prob(params, head, z), (z, self.relaxed(head))

    def states(self, params: Array, head: Array) -> tuple[Array, Array, Any]:  # noqa: ARG002
        """Return all C^G codes, their log-probabilities for each example, and the cache."""
        head = checks.look(head, "head", (None, self.n_latent))
        z = all_codes(self.n_groups, self._c).astype(head.dtype)
        return z[:, None], z @ self.log_theta(head).T, (z[:, None], self.relaxed(head))

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:
        """Return dhead through log q alone: z does not move with the head."""
        z = cache[0]
        checks.look(dz, "dz", (len(z), None, self.n_latent), z.dtype)
        return self.score(params, cache, dlog_q, grads)

    def score(self, params: Array, cache: Any, dlog_q: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dphi = sum_k (z - theta) dlog_q."""
        z, theta = cache
        dlog_q = checks.look(dlog_q, "dlog_q", (len(z), len(theta)), theta.dtype)
        if z.shape[1] == 1:  # codes that all examples share
            return dlog_q.T @ z[:, 0] - dlog_q.sum(axis=0)[:, None] * theta
        return np.sum(dlog_q[:, :, None] * (z - theta), axis=0)

    def log_prob(self, params: Array, head: Array, z: Array) -> Array:  # noqa: ARG002
        """Return log q(z|x), shape (K, B)."""
        head = checks.look(head, "head", (None, self.n_latent))
        z = checks.look(z, "z", (None, None, self.n_latent), head.dtype)
        if z.shape[1] not in (1, len(head)):
            raise ValueError(f"z must have {len(head)} examples as head does, got shape {z.shape}. Make them agree.")
        log_theta = self.log_theta(head)
        return np.sum(np.where(z == 0, log_theta.dtype.type(0), z * log_theta), axis=-1)

    def mean(self, params: Array, head: Array) -> Array:  # noqa: ARG002
        """Return the probabilities theta."""
        return self.relaxed(checks.look(head, "head", (None, self.n_latent)))

    def code(self, params: Array, head: Array) -> Array:  # noqa: ARG002
        """Return the most probable code."""
        return self._one_hot(checks.look(head, "head", (None, self.n_latent)))

    def log_theta(self, head: Array) -> Array:
        """Return the logarithms of the probabilities."""
        head = checks.look(head, "head", (None, self.n_latent))
        groups = self._groups(head)
        top = groups.max(axis=-1, keepdims=True)
        return (groups - top - np.log(np.exp(groups - top).sum(axis=-1, keepdims=True))).reshape(head.shape)

    # --------------------------------------------------------------------------- between the states

    def behind(self, head: Array, eps: Array) -> Array:
        """Return y = log theta - log(-log u), shape (K, B, L), whose largest of a group is the draw."""
        head = checks.look(head, "head", (None, self.n_latent))
        eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        return self.log_theta(head) - np.log(-np.log(inside_of_unit(eps)))

    def behind_backward(self, head: Array, dy: Array) -> Array:
        """Return dhead of each draw through y at fixed noise: dy - theta sum of the group's dy."""
        head = checks.look(head, "head", (None, self.n_latent))
        dy = checks.look(dy, "dy", (None, len(head), self.n_latent), head.dtype)
        return dy - self.relaxed(head) * self._spread(self._groups(dy).sum(axis=-1))

    def behind_forward(self, head: Array, dhead: Array) -> Array:
        """Return dy of each draw along a direction of the head, (K, B, L): dhead - sum of the group's theta dhead."""
        head = checks.look(head, "head", (None, self.n_latent))
        dhead = checks.look(dhead, "dhead", (None, len(head), self.n_latent), head.dtype)
        return dhead - self._spread(self._groups(self.relaxed(head) * dhead).sum(axis=-1))

    def left_free(self, head: Array, y: Array, z: Array) -> Array:  # noqa: ARG002
        """Return d(y - y~)/dlog theta, entry by entry, y~ being y given z, at the draw where y~ = y: exp(y - max y).

        Given that c is the largest, exp(-y_c) is exponential of rate 1 and does not move with theta, and
        exp(-y_i) = exp(-y_c) + a_i / theta_i with a_i exponential, so that dy~_i / dlog theta_i = 1 - exp(y_i - y_c).
        """
        y = checks.look(y, "y", (None, None, self.n_latent))
        checks.look(z, "z", (None, None, self.n_latent), y.dtype)
        groups = self._groups(y)
        return np.exp(groups - groups.max(axis=-1, keepdims=True)).reshape(y.shape)

    def relaxed(self, y: Array) -> Array:
        """Return softmax(y) of each group, a code between the states."""
        groups = self._groups(y)
        e = np.exp(groups - groups.max(axis=-1, keepdims=True))
        return (e / e.sum(axis=-1, keepdims=True)).reshape(y.shape)

    def relaxed_backward(self, zeta: Array, d: Array) -> Array:
        """Return J d = zeta (d - zeta . d) of each group: J, the derivative of ``relaxed``, is symmetric."""
        return zeta * (d - self._spread(self._groups(zeta * d).sum(axis=-1)))

    def relaxed_bend(self, zeta: Array, along: Array, d: Array) -> Array:
        """Return how J d changes as zeta moves along a direction: along (d - zeta . d) - zeta (along . d)."""
        zd, ad = (self._spread(self._groups(a * d).sum(axis=-1)) for a in (zeta, along))
        return along * (d - zd) - zeta * ad

    def _groups(self, a: Array) -> Array:
        return a.reshape(*a.shape[:-1], self.n_groups, self._c)

    def _spread(self, of_groups: Array) -> Array:
        """Return a value of each group at each of its entries."""
        return np.repeat(of_groups, self._c, axis=-1)

    def _one_hot(self, y: Array) -> Array:
        best = self._groups(y).argmax(axis=-1)
        return np.eye(self._c, dtype=y.dtype)[best].reshape(y.shape)
