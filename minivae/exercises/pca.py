"""Exercises of the lecture "PCA is a linear autoencoder"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import array, close, parts, slopes

Rng = np.random.Generator


# --------------------------------------------------------------------------------------- components


def _data(rng: Rng) -> tuple[Array, int]:
    """Return x (30, 4), far from zero and wider in some directions, and a number of components."""
    return rng.normal(size=(30, 4)) @ rng.normal(size=(4, 4)) + 3 * rng.normal(size=4), 2


def _orthonormal(components: Callable[..., Any], rng: Rng) -> None:
    x, q = _data(rng)
    U = array("components", components(x, q), (q, x.shape[1]))
    close("U U^T", U @ U.T, np.eye(q), "the components have length one and are at right angles")


def _largest_variance(components: Callable[..., Any], rng: Rng) -> None:
    x, q = _data(rng)
    U = array("components", components(x, q), (q, x.shape[1]))
    largest = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    got = (x @ U.T).var(axis=0)
    close("The variance along each component", got, largest[:q], "component i has the i-th largest variance possible")


def _eigenvectors(S: Array) -> Array:
    """Return the eigenvectors as rows, the largest eigenvalue first."""
    return np.linalg.eigh(S)[1].T[::-1]


COMPONENTS = Exercise(
    id="pca.components",
    task="the first q principal components of the data x, shape (q, n_x): one a row, the widest first",
    arguments="x, q",
    laws=(
        Law("the components have length one and are at right angles", _orthonormal),
        Law("component i has the i-th largest variance", _largest_variance),
    ),
    zoo=(
        Mistake(
            "not centred",
            "the data are not centred: the first component then points from zero to their mean.",
            lambda x, q: _eigenvectors(x.T @ x)[:q],
        ),
        Mistake(
            "the smallest",
            "eigh sorts the eigenvalues upwards, so its first vectors are the narrowest directions.",
            lambda x, q: _eigenvectors(np.cov(x.T))[::-1][:q],
        ),
        Mistake(
            "the last first",
            "these are the right components in the wrong order: the widest comes first.",
            lambda x, q: _eigenvectors(np.cov(x.T))[:q][::-1],
        ),
        Mistake(
            "columns",
            "the components are the columns here; they should be the rows.",
            lambda x, q: _eigenvectors(np.cov(x.T))[:q].T,
        ),
        Mistake(
            "rows of the eigenvector matrix",
            "eigh returns the eigenvectors as columns; these are rows of that matrix, mixed from all of them.",
            lambda x, q: np.linalg.eigh(np.cov(x.T))[1][::-1][:q],
        ),
        Mistake(
            "standardised",
            "the columns were divided by their standard deviations: these are the components of other data.",
            lambda x, q: _eigenvectors(np.corrcoef(x.T))[:q],
        ),
    ),
    example=_data,
    compare=lambda U: np.abs(np.asarray(U, float)),  # the sign of a component is free
)


# ---------------------------------------------------------------------------------- power_iteration


def _spectrum(rng: Rng, eigenvalues: tuple[float, ...] = (4.0, 2.0, 1.0)) -> tuple[Array, Array]:
    """Return S with these eigenvalues and its eigenvectors, one a row."""
    U = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return U.T @ np.diag(eigenvalues) @ U, U


def _known_angle(power_iteration: Callable[..., Any], rng: Rng) -> None:
    S, U = _spectrum(rng)
    for n_steps in (0, 1, 3):
        v = array("v", power_iteration(S, U.sum(axis=0) / np.sqrt(3), n_steps), (3,))
        close(f"The length of v after {n_steps} step(s)", np.array(np.linalg.norm(v)), 1.0, "v has length one")
        c = U @ v
        tangent = np.array(np.hypot(c[1], c[2]) / abs(c[0]) if c[0] else np.inf)
        want = np.sqrt(4.0**n_steps + 1) / 4.0**n_steps
        close(
            f"The tangent of the angle to the first component after {n_steps} step(s)",
            np.minimum(tangent, 1e6),
            want,
            "each step multiplies the part along component i by its eigenvalue; here they are 4, 2, 1",
        )


def _unit(v: Array) -> Array:
    return v / np.sqrt(v @ v)


def _powers(S: Array, v: Array, n_steps: int) -> Array:
    return np.linalg.matrix_power(S, n_steps) @ v


POWER_ITERATION = Exercise(
    id="pca.power-iteration",
    task="v after n_steps steps of power iteration: multiply by S, then shorten to length one",
    arguments="S, v, n_steps",
    laws=(Law("the angle to the first component falls as the eigenvalues say, and v has length one", _known_angle),),
    zoo=(
        Mistake(
            "never shortened",
            "v is never shortened to length one: it grows with every step, and overflows in the end.",
            lambda S, v, n_steps: _powers(S, v, n_steps),
        ),
        Mistake(
            "one step",
            "only one step is made, whatever n_steps is.",
            lambda S, v, n_steps: _unit(S @ v),
        ),
        Mistake("one too many", "one step too many is made.", lambda S, v, n_steps: _unit(_powers(S, v, n_steps + 1))),
        Mistake(
            "inverse iteration",
            "S is inverted: this goes to the component with the smallest variance.",
            lambda S, v, n_steps: _unit(_powers(np.linalg.inv(S), v, n_steps)),
        ),
        Mistake(
            "divided by the sum",
            "v is divided by the sum of its entries' sizes; its length is the root of the sum of squares.",
            lambda S, v, n_steps: _powers(S, v, n_steps) / np.abs(_powers(S, v, n_steps)).sum(),
        ),
    ),
    example=lambda rng: (_spectrum(rng)[0], _unit(rng.normal(size=3)), 3),
)


# -------------------------------------------------------------------------------------------- deflate


def _removes_one(deflate: Callable[..., Any], rng: Rng) -> None:
    S, U = _spectrum(rng, tuple(np.sort(rng.uniform(1, 5, 3))[::-1]))
    left = array("The deflated matrix", deflate(S, U[0]), S.shape)
    close("The deflated matrix times u", left @ U[0], 0.0, "the component taken away has eigenvalue zero")
    close("The deflated matrix times another component", U[1:] @ left, U[1:] @ S, "the others keep their eigenvalues")


def _one_component(rng: Rng) -> tuple[Array, Array]:
    S, U = _spectrum(rng)
    return S, U[0]


DEFLATE = Exercise(
    id="pca.deflate",
    task="S without its component u (an eigenvector of length one), so that the next power iteration "
    "finds the next one",
    arguments="S, u",
    laws=(Law("u has eigenvalue zero afterwards, and the other components keep theirs", _removes_one),),
    zoo=(
        Mistake(
            "without the eigenvalue",
            "u u^T is taken away once; along u, S is as large as its eigenvalue u^T S u.",
            lambda S, u: S - np.outer(u, u),
        ),
        Mistake(
            "a number",
            "a number is taken from every entry; u u^T is a matrix, np.outer(u, u).",
            lambda S, u: S - u @ S @ u,
        ),
        Mistake(
            "the diagonal",
            "the eigenvalue is taken from the whole diagonal, which lowers the other components too.",
            lambda S, u: S - (u @ S @ u) * np.eye(len(S)),
        ),
        Mistake(
            "twice",
            "the component is taken away twice, and has a negative eigenvalue now.",
            lambda S, u: S - 2 * (u @ S @ u) * np.outer(u, u),
        ),
    ),
    example=_one_component,
)


# ------------------------------------------------------------------------------------ linear_gradient


def _linear_example(rng: Rng) -> tuple[Array, Array, Array]:
    """Return W1 (2, 4), W2 (4, 2), x (6, 4)."""
    return rng.normal(size=(2, 4)), rng.normal(size=(4, 2)), rng.normal(size=(6, 4))


def _slopes_of_loss(linear_gradient: Callable[..., Any], rng: Rng) -> None:
    W1, W2, x = _linear_example(rng)
    got = parts("dW1, dW2", linear_gradient(W1, W2, x), W1.shape, W2.shape)
    slopes(
        "dW1, dW2",
        got,
        lambda W1, W2: float(np.sum((x - x @ W1.T @ W2.T) ** 2) / len(x)),
        [W1, W2],
        "slopes of the loss",
    )


def _zero_at_pca(linear_gradient: Callable[..., Any], rng: Rng) -> None:
    _, _, x = _linear_example(rng)
    U = _eigenvectors(x.T @ x)[:2]
    C = rng.normal(size=(2, 2)) + 2 * np.eye(2)
    got = parts("dW1, dW2", linear_gradient(np.linalg.inv(C) @ U, U.T @ C, x), (2, 4), (4, 2))
    for name, g in zip(("dW1", "dW2"), got, strict=True):
        close(
            f"{name} at the principal subspace", g, 0.0, "the gradient is zero there, however the components are mixed"
        )


def _error(W1: Array, W2: Array, x: Array) -> Array:
    return x @ W1.T @ W2.T - x


def _through(W1: Array, W2: Array, x: Array, dy: Array) -> tuple[Array, Array]:
    """Return dW1, dW2 of x_hat = (x W1^T) W2^T for a given slope dy in x_hat."""
    return (dy @ W2).T @ x, dy.T @ (x @ W1.T)


LINEAR_GRADIENT = Exercise(
    id="pca.linear-gradient",
    task="dW1 (q, d) and dW2 (d, q) of the loss: the mean over the rows x of the squared error ||x - W2 W1 x||^2",
    arguments="W1, W2, x",
    laws=(
        Law("dW1 and dW2 equal finite differences of the loss", _slopes_of_loss),
        Law("both are zero at the principal subspace, in any mixture", _zero_at_pca),
    ),
    zoo=(
        Mistake(
            "sum over the batch",
            "the loss is a mean over the rows: its 1/B is missing.",
            lambda W1, W2, x: _through(W1, W2, x, 2 * _error(W1, W2, x)),
        ),
        Mistake(
            "no two",
            "the 2 of the square is missing: this loss has no half to cancel it.",
            lambda W1, W2, x: _through(W1, W2, x, _error(W1, W2, x) / len(x)),
        ),
        Mistake(
            "sign",
            "the error is x_hat - x; with x - x_hat this goes down the loss, and the gradient points up.",
            lambda W1, W2, x: _through(W1, W2, x, -2 * _error(W1, W2, x) / len(x)),
        ),
        Mistake(
            "mean over the columns too",
            "the squares are summed over the columns; only the rows are averaged.",
            lambda W1, W2, x: _through(W1, W2, x, 2 * _error(W1, W2, x) / x.size),
        ),
        Mistake(
            "target left out",
            "x is not taken away from its reconstruction: the slope in x_hat is 2 (x_hat - x) / B.",
            lambda W1, W2, x: _through(W1, W2, x, 2 * x @ W1.T @ W2.T / len(x)),
        ),
        Mistake(
            "transposed",
            "both are transposed; dW1 has the shape of W1, and dW2 that of W2.",
            lambda W1, W2, x: tuple(g.T for g in _through(W1, W2, x, 2 * _error(W1, W2, x) / len(x))),
        ),
    ),
    example=_linear_example,
)


# --------------------------------------------------------------------------------- subspace_distance


def _subspaces(rng: Rng) -> tuple[Array, Array]:
    """Return two bases (2, 5), one a row, of two planes; neither orthonormal."""
    return rng.normal(size=(2, 5)), rng.normal(size=(2, 5))


def _same_plane(subspace_distance: Callable[..., Any], rng: Rng) -> None:
    A, _ = _subspaces(rng)
    mixed = (rng.normal(size=(2, 2)) + 2 * np.eye(2)) @ A
    got = array("The distance", subspace_distance(A, mixed), ())
    close("The distance of two bases of one plane", got, 0.0, "mixing the vectors does not move the plane", 1e-6)


def _known_angles(subspace_distance: Callable[..., Any], rng: Rng) -> None:
    small, large = np.sort(rng.uniform(0.1, 1.5, size=2))
    e = np.linalg.qr(rng.normal(size=(5, 5)))[0]  # right angles, in a random position
    turned = np.stack([np.cos(small) * e[0] + np.sin(small) * e[2], np.cos(large) * e[1] + np.sin(large) * e[3]])
    mixing = rng.normal(size=(2, 2)) + 2 * np.eye(2)
    got = array("The distance", subspace_distance(e[:2], mixing @ turned), ())
    close("The distance of two planes", got, np.sin(large), "the sine of the larger of the two angles", 1e-7)


def _residual(A: Array, B: Array) -> Array:
    """(I - P_A) Q, Q an orthonormal basis of the span of B."""
    P, Q = np.linalg.qr(A.T)[0], np.linalg.qr(B.T)[0]
    return Q - P @ (P.T @ Q)


SUBSPACE_DISTANCE = Exercise(
    id="pca.subspace-distance",
    task="how far the subspaces spanned by the rows of A and of B are apart: the sine of the largest angle, "
    "||(I - P_A) P_B||_2 with orthogonal projectors; the rows need not be orthonormal",
    arguments="A, B",
    laws=(
        Law("it does not change when the vectors of a basis are mixed", _same_plane),
        Law("it is the sine of the larger of two known angles", _known_angles),
    ),
    zoo=(
        Mistake(
            "the vectors",
            "this compares the vectors; one plane has many bases, and it is the plane that is asked for.",
            lambda A, B: np.linalg.norm(A - B),
        ),
        Mistake(
            "not orthonormal",
            "A^T A is the projector only for orthonormal rows; orthogonalise them first (np.linalg.qr).",
            lambda A, B: np.linalg.norm((np.eye(A.shape[1]) - A.T @ A) @ B.T @ B, 2),
        ),
        Mistake(
            "Frobenius norm",
            "this norm adds up all angles; the largest alone is the spectral norm, np.linalg.norm(..., 2).",
            lambda A, B: np.linalg.norm(_residual(A, B)),
        ),
        Mistake(
            "cosine",
            "this is a cosine: one for equal planes. The distance is a sine.",
            lambda A, B: np.linalg.norm(np.linalg.qr(A.T)[0].T @ np.linalg.qr(B.T)[0], 2),
        ),
    ),
    example=_subspaces,
)

EXERCISES = (COMPONENTS, POWER_ITERATION, DEFLATE, LINEAR_GRADIENT, SUBSPACE_DISTANCE)
