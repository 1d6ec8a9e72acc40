"""Exercises of the lecture "PCA is a linear autoencoder"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake, mistakes_of
from minivae.exercises.laws import array, close, parts, sizes, slopes

Rng = np.random.Generator


# --------------------------------------------------------------------------------------- components


def _data(rng: Rng) -> tuple[Array, int]:
    """Return x (n, n_x), far from zero and wider in some directions, and a number of components."""
    n_x, q = sorted(sizes(rng, 2, 1, 6), reverse=True)
    widths = np.arange(n_x, 0, -1.0)  # far apart, so that each component is one
    turned = np.linalg.qr(rng.normal(size=(n_x, n_x)))[0]
    x = rng.normal(size=(int(rng.integers(20, 40)), n_x)) * widths @ turned
    return x * rng.uniform(0.5, 2, size=n_x) + 3 * rng.normal(size=n_x), q


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


def _components(
    x: Array,
    q: int,
    *,
    matrix: Callable[[Array], Array] = lambda x: np.atleast_2d(np.cov(x.T)),
    vectors: Callable[[Array], Array] = _eigenvectors,
    narrow: bool = False,
    last_first: bool = False,
    turned: bool = False,
) -> Array:
    U = vectors(matrix(x))
    U = (U[::-1] if narrow else U)[:q]
    U = U[::-1] if last_first else U
    return U.T if turned else U


def _several(rng: Rng) -> tuple[Array, int]:
    """Return data and a number of components for which the mistakes differ: at least two, and not all."""
    while True:
        x, q = _data(rng)
        if 2 <= q < x.shape[1] - 1:
            return x, q


_component_mistake = mistakes_of(_components)

COMPONENTS = Exercise(
    id="pca.components",
    task="the first n_latent principal components of the data x, shape (n_latent, n_x): one a row, the widest first",
    arguments="x, n_latent",
    laws=(
        Law("the components have length one and are at right angles", _orthonormal),
        Law("component i has the i-th largest variance", _largest_variance),
    ),
    zoo=(
        _component_mistake(
            "not centred",
            "the data are not centred: the first component then points from zero to their mean.",
            matrix=lambda x: x.T @ x,
        ),
        _component_mistake(
            "the smallest",
            "eigh sorts the eigenvalues upwards, so its first vectors are the narrowest directions.",
            narrow=True,
        ),
        _component_mistake(
            "the last first",
            "these are the right components in the wrong order: the widest comes first.",
            last_first=True,
        ),
        _component_mistake("columns", "the components are the columns here; they should be the rows.", turned=True),
        _component_mistake(
            "rows of the eigenvector matrix",
            "eigh returns the eigenvectors as columns; these are rows of that matrix, mixed from all of them.",
            vectors=lambda S: np.linalg.eigh(S)[1][::-1],
        ),
        _component_mistake(
            "standardised",
            "the columns were divided by their standard deviations: these are the components of other data.",
            matrix=lambda x: np.atleast_2d(np.corrcoef(x.T)),
        ),
    ),
    example=_several,
    compare=lambda U: np.abs(np.asarray(U, float)),  # the sign of a component is free
)


# ---------------------------------------------------------------------------------- power_iteration


def _spectrum(rng: Rng) -> tuple[Array, Array, Array]:
    """Return S, its eigenvalues from the largest down, and its eigenvectors, one a row."""
    (n,) = sizes(rng, 1, 3, 7)
    U = np.linalg.qr(rng.normal(size=(n, n)))[0]
    values = np.cumsum(rng.uniform(0.5, 1.5, size=n))[::-1]
    return U.T @ np.diag(values) @ U, values, U


def _known_parts(power_iteration: Callable[..., Any], rng: Rng) -> None:
    S, values, U = _spectrum(rng)
    for n_steps in (0, 1, 3, int(rng.integers(4, 8))):
        c = rng.normal(size=len(S))
        c = c / np.sqrt(c @ c) * (1 if n_steps == 0 else rng.uniform(0.5, 2))
        v = array("v", power_iteration(S, c @ U, n_steps), (len(S),))
        close(f"The length of v after {n_steps} step(s)", np.array(np.linalg.norm(v)), 1.0, "v has length one")
        want = _unit(c * (values / values[0]) ** n_steps)
        close(
            f"The part of v along each component after {n_steps} step(s)",
            U @ v,
            want,
            "each step multiplies the part along component i by its eigenvalue, and v is shortened to length one",
        )


def _many_steps(power_iteration: Callable[..., Any], rng: Rng) -> None:
    S, values, U = _spectrum(rng)
    c = _unit(rng.normal(size=len(S)))
    for size in (1e4, 1e-4):  # to the power of 200, neither is a float
        name = f"v after 200 steps with eigenvalues near {size:g}, shortened in each of them,"
        v = array(name, power_iteration(size * S, c @ U, 200), (len(S),))
        why = "v is shortened in each step, not at the end alone: it would overflow, or vanish, before"
        close(f"The parts of {name}", U @ v, _unit(c * (values / values[0]) ** 200), why)


def _unit(v: Array) -> Array:
    return v / np.sqrt(v @ v)


def _power_iteration(
    S: Array,
    v: Array,
    n_steps: int,
    *,
    steps: Callable[[int], int] = lambda n_steps: n_steps,
    matrix: Callable[[Array], Array] = lambda S: S,
    length: Callable[[Array], Any] = lambda v: np.sqrt(v @ v),
) -> Array:
    v = np.linalg.matrix_power(matrix(S), steps(n_steps)) @ v
    return v / length(v)


_power_mistake = mistakes_of(_power_iteration)

POWER_ITERATION = Exercise(
    id="pca.power-iteration",
    task="v after n_steps steps of power iteration, each of them: multiply by S, then shorten to length one",
    arguments="S, v, n_steps",
    laws=(
        Law("the parts of v along all components change as the eigenvalues say, and v has length one", _known_parts),
        Law("two hundred steps end at the first component, whatever the size of S", _many_steps),
    ),
    zoo=(
        _power_mistake(
            "never shortened",
            "v is never shortened to length one: it grows with every step, and overflows in the end.",
            length=lambda v: 1,
        ),
        _power_mistake("one step", "only one step is made, whatever n_steps is.", steps=lambda n_steps: 1),
        _power_mistake("one too many", "one step too many is made.", steps=lambda n_steps: n_steps + 1),
        _power_mistake(
            "inverse iteration",
            "S is inverted: this goes to the component with the smallest variance.",
            matrix=np.linalg.inv,
        ),
        _power_mistake(
            "divided by the sum",
            "v is divided by the sum of its entries' sizes; its length is the root of the sum of squares.",
            length=lambda v: np.abs(v).sum(),
        ),
    ),
    example=lambda rng: _start(_spectrum(rng)[0], rng),
)


def _start(S: Array, rng: Rng) -> tuple[Array, Array, int]:
    return S, _unit(rng.normal(size=len(S))), int(rng.integers(2, 5))


# -------------------------------------------------------------------------------------------- deflate


def _removes_one(deflate: Callable[..., Any], rng: Rng) -> None:
    S, values, U = _spectrum(rng)
    i = int(rng.integers(len(S)))
    left = array("The deflated matrix", deflate(S, U[i]), S.shape)
    close("The deflated matrix times u", left @ U[i], 0.0, "the component taken away has eigenvalue zero")
    kept = np.delete(np.arange(len(S)), i)
    want = sum(values[j] * np.outer(U[j], U[j]) for j in kept)
    close("The deflated matrix", left, want, "the other components keep their eigenvalues")


def _one_component(rng: Rng) -> tuple[Array, Array]:
    S, _, U = _spectrum(rng)
    return S, U[0]


def _deflate(
    S: Array,
    u: Array,
    *,
    eigenvalue: Callable[[Array, Array], Any] = lambda S, u: u @ S @ u,
    direction: Callable[[Array], Any] = lambda u: np.outer(u, u),
    times: float = 1,
) -> Array:
    return S - times * eigenvalue(S, u) * direction(u)


_deflation_mistake = mistakes_of(_deflate)

DEFLATE = Exercise(
    id="pca.deflate",
    task="S without its component u (an eigenvector of length one), so that the next power iteration "
    "finds the next one",
    arguments="S, u",
    laws=(Law("u has eigenvalue zero afterwards, and the other components keep theirs", _removes_one),),
    zoo=(
        _deflation_mistake(
            "without the eigenvalue",
            "u u^T is taken away once; along u, S is as large as its eigenvalue u^T S u.",
            eigenvalue=lambda S, u: 1,
        ),
        _deflation_mistake(
            "a number",
            "a number is taken from every entry; u u^T is a matrix, np.outer(u, u).",
            direction=lambda u: 1,
        ),
        _deflation_mistake(
            "the diagonal",
            "the eigenvalue is taken from the whole diagonal, which lowers the other components too.",
            direction=lambda u: np.eye(len(u)),
        ),
        _deflation_mistake("twice", "the component is taken away twice, and has a negative eigenvalue now.", times=2),
        _deflation_mistake("added", "the component is added, and counts twice now; take it away.", times=-1),
    ),
    example=_one_component,
)


# ------------------------------------------------------------------------------------ linear_gradient


def _linear_example(rng: Rng) -> tuple[Array, Array, Array]:
    """Return W1 (L, D), W2 (D, L), x (B, D)."""
    n_latent, n_x, n_batch = sizes(rng, 3)
    return rng.normal(size=(n_latent, n_x)), rng.normal(size=(n_x, n_latent)), rng.normal(size=(n_batch, n_x))


def _slopes_of_loss(linear_gradient: Callable[..., Any], rng: Rng) -> None:
    W1, W2, x = _linear_example(rng)
    got = parts("dW1, dW2", linear_gradient(W1, W2, x), W1.shape, W2.shape)
    slopes(
        "dW1, dW2",
        got,
        lambda W1, W2: float(np.sum((x - x @ W1.T @ W2.T) ** 2) / len(x)),
        [W1, W2],
        "slopes of the error",
    )


def _zero_at_pca(linear_gradient: Callable[..., Any], rng: Rng) -> None:
    *_, x = _linear_example(rng)
    q = int(rng.integers(1, x.shape[1]))
    U = _eigenvectors(x.T @ x)[:q]
    C = rng.normal(size=(q, q)) + 3 * np.eye(q)
    got = parts("dW1, dW2", linear_gradient(np.linalg.inv(C) @ U, U.T @ C, x), U.shape, U.T.shape)
    for name, g in zip(("dW1", "dW2"), got, strict=True):
        close(
            f"{name} at the principal subspace", g, 0.0, "the gradient is zero there, however the components are mixed"
        )


def _linear_gradient(
    W1: Array,
    W2: Array,
    x: Array,
    *,
    factor: float = 2,
    sign: float = 1,
    target: float = 1,
    shared: Callable[[Array], int] = len,
    turned: bool = False,
) -> tuple[Array, Array]:
    dy = sign * factor * (x @ W1.T @ W2.T - target * x) / shared(x)
    dW1, dW2 = (dy @ W2).T @ x, dy.T @ (x @ W1.T)
    return (dW1.T, dW2.T) if turned else (dW1, dW2)


_linear_mistake = mistakes_of(_linear_gradient)

LINEAR_GRADIENT = Exercise(
    id="pca.linear-gradient",
    task="dW1 (L, D) and dW2 (D, L) of the squared error ||x - W2 W1 x||^2, averaged over the rows x",
    arguments="W1, W2, x",
    laws=(
        Law("dW1 and dW2 equal finite differences of the error", _slopes_of_loss),
        Law("both are zero at the principal subspace, in any mixture", _zero_at_pca),
    ),
    zoo=(
        _linear_mistake(
            "sum over the batch", "the error is a mean over the rows: its 1/B is missing.", shared=lambda x: 1
        ),
        _linear_mistake("no two", "the 2 of the square is missing: this error has no half to cancel it.", factor=1),
        _linear_mistake(
            "sign",
            "the error is x_hat - x; with x - x_hat this goes down the error, and the gradient points up.",
            sign=-1,
        ),
        _linear_mistake(
            "mean over the columns too",
            "the squares are summed over the columns; only the rows are averaged.",
            shared=np.size,
        ),
        _linear_mistake(
            "target left out",
            "x is not taken away from its reconstruction: the slope in x_hat is 2 (x_hat - x) / B.",
            target=0,
        ),
        _linear_mistake("transposed", "both are transposed; dW1 has the shape of W1, and dW2 that of W2.", turned=True),
    ),
    example=_linear_example,
)


# --------------------------------------------------------------------------------- subspace_distance


def _subspaces(rng: Rng) -> tuple[Array, Array]:
    """Return two bases (q, n), one a row, of two subspaces; neither orthonormal."""
    q, n = sorted(sizes(rng, 2))
    return rng.normal(size=(q, n)), rng.normal(size=(q, n))


def _mixed(basis: Array, rng: Rng) -> Array:
    """Return another basis of the same subspace."""
    n = len(basis)
    return (rng.normal(size=(n, n)) + 3 * np.eye(n)) @ basis


def _same_plane(subspace_distance: Callable[..., Any], rng: Rng) -> None:
    A, _ = _subspaces(rng)
    got = array("The distance", subspace_distance(A, _mixed(A, rng)), ())
    close("The distance of two bases of one subspace", got, 0.0, "mixing the vectors does not move the plane", 1e-7)


def _known_angles(subspace_distance: Callable[..., Any], rng: Rng) -> None:
    for largest in (1.5, 1e-3, 1e-10):
        q, extra = sizes(rng, 2, 1, 4)
        n = 2 * q + extra
        e = np.linalg.qr(rng.normal(size=(n, n)))[0]  # right angles, in a random position
        angles = largest * np.append(rng.uniform(0.1, 0.9, size=q - 1), 1.0)
        turned = np.cos(angles)[:, None] * e[:q] + np.sin(angles)[:, None] * e[q : 2 * q]
        got = array("The distance", subspace_distance(_mixed(e[:q], rng), _mixed(turned, rng)), ())
        close(
            f"The distance of two subspaces at a largest angle of {largest:g}, over its sine",
            got / np.sin(largest),
            1.0,
            "the sine of the largest angle, also of a tiny one, which arccos would round away",
            1e-4,
        )


def _residual(A: Array, B: Array) -> Array:
    """(I - P_A) Q, Q an orthonormal basis of the span of B."""
    P, Q = np.linalg.qr(A.T)[0], np.linalg.qr(B.T)[0]
    return Q - P @ (P.T @ Q)


def _distance(
    A: Array,
    B: Array,
    *,
    residual: Callable[[Array, Array], Array] = _residual,
    norm: Callable[[Array], float] = lambda a: float(np.linalg.norm(a, 2)),
) -> float:
    return norm(residual(A, B))


_distance_mistake = mistakes_of(_distance)

SUBSPACE_DISTANCE = Exercise(
    id="pca.subspace-distance",
    task="how far the subspaces spanned by the rows of A and of B are apart: the sine of the largest angle, "
    "||(I - P_A) P_B||_2 with orthogonal projectors; the rows need not be orthonormal",
    arguments="A, B",
    laws=(
        Law("it does not change when the vectors of a basis are mixed", _same_plane),
        Law("it is the sine of the largest of some known angles, down to 1e-10", _known_angles),
    ),
    zoo=(
        Mistake(
            "the vectors",
            "this compares the vectors; one plane has many bases, and it is the plane that is asked for.",
            lambda A, B: np.linalg.norm(A - B),
        ),
        _distance_mistake(
            "not orthonormal",
            "A^T A is the projector only for orthonormal rows; orthogonalise them first (np.linalg.qr).",
            residual=lambda A, B: (np.eye(A.shape[1]) - A.T @ A) @ B.T @ B,
        ),
        _distance_mistake(
            "Frobenius norm",
            "this norm adds up all angles; the largest alone is the spectral norm, np.linalg.norm(..., 2).",
            norm=lambda a: float(np.linalg.norm(a)),
        ),
        _distance_mistake(
            "cosine",
            "this is a cosine: one for equal planes. The distance is a sine.",
            residual=lambda A, B: np.linalg.qr(A.T)[0].T @ np.linalg.qr(B.T)[0],
        ),
    ),
    example=_subspaces,
)

EXERCISES = (COMPONENTS, POWER_ITERATION, DEFLATE, LINEAR_GRADIENT, SUBSPACE_DISTANCE)
