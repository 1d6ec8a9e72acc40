"""Power iteration: the exact course of it on known matrices, its rate, and deflation."""

from itertools import islice

import numpy as np
import pytest

from minivae.classical import power
from minivae.classical.pca import PCA
from minivae.classical.power import power_components, power_iteration
from tests.support import exact_covariance_data

S = np.diag([4.0, 2.0, 1.0])


def times(matrix):
    return lambda v: matrix @ v


def test_every_iterate_has_the_exact_angle_and_rayleigh_quotient():
    for t, step in enumerate(islice(power_iteration(times(S), np.ones(3)), 12)):
        tangent = np.linalg.norm(step.vector[1:]) / step.vector[0]
        assert abs(tangent - np.sqrt(4.0**t + 1) / 4.0**t) < 1e-12
        quotient = (4 * 16.0**t + 2 * 4.0**t + 1) / (16.0**t + 4.0**t + 1)
        assert abs(step.value - quotient) < 1e-14 * 4
        assert abs(np.linalg.norm(step.vector) - 1) < 1e-15
        assert abs(step.residual - np.linalg.norm(S @ step.vector - step.value * step.vector)) < 1e-15


def test_the_known_instance_to_ten_digits():
    step = next(islice(power_iteration(times(S), np.ones(3)), 3, None))
    assert abs(np.linalg.norm(step.vector[1:]) / step.vector[0] - 0.1259727773) < 5e-11
    assert abs(step.value - 16513 / 4161) < 1e-14


def test_the_angle_never_exceeds_its_bound(rng):
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    values = np.array([3.0, 2.4, 1.0, 0.5, 0.0])
    matrix = rotation.T @ np.diag(values) @ rotation
    start = rng.normal(size=5)
    for t, step in enumerate(islice(power_iteration(times(matrix), start), 30)):
        c = rotation @ step.vector
        tangent = np.linalg.norm(c[1:]) / abs(c[0])
        if t == 0:
            first = tangent
        assert tangent <= (2.4 / 3.0) ** t * first * (1 + 1e-10)


def test_deflation_finds_the_components_in_turn_at_the_stated_rates(rng):
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    values = np.array([5.0, 4.0, 2.4, 1.2, 0.3, 0.0])
    matrix = rotation.T @ np.diag(values) @ rotation
    found, vectors, _ = power_components(times(matrix), 6, 4)
    np.testing.assert_allclose(found, values[:4], rtol=1e-12)
    np.testing.assert_allclose(np.abs(vectors @ rotation.T), np.eye(4, 6), atol=1e-11)
    for k in range(4):
        left = power.deflate(times(matrix), values[:k], rotation[:k])
        tangents = []
        for step in islice(power_iteration(left, rng.normal(size=6)), 60):
            c = rotation @ step.vector
            tangents.append(np.linalg.norm(np.delete(c, k)) / abs(c[k]))
        last = max(t for t in range(60) if tangents[t] > 1e-7)
        # what is still to come of the third eigenvalue: (lambda_{k+2} / lambda_{k+1})^2t
        slack = 10 * (values[k + 2] / values[k + 1]) ** (2 * last) + 1e-7
        assert abs(tangents[last] / tangents[last - 1] / (values[k + 1] / values[k]) - 1) < slack


def test_equal_eigenvalues_give_an_orthonormal_basis_of_their_space():
    found, vectors, _ = power_components(times(np.diag([2.0, 2.0, 1.0, 0.0])), 4, 4)
    np.testing.assert_allclose(found, [2, 2, 1, 0], atol=1e-12)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(vectors[:2, 2:], 0, atol=1e-12)


def test_a_start_in_the_null_space_ends_there():
    assert len(list(power_iteration(times(np.diag([1.0, 0.0])), np.array([0.0, 1.0])))) == 1
    found, vectors, _ = power_components(times(np.zeros((3, 3))), 3, 3)
    assert not found.any()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-14)


def test_bad_input_is_refused():
    for start, words in (
        (np.zeros(3), "have a finite length above 0, got 0.0"),
        (np.full(3, np.nan), "hold .*got nan"),
    ):
        with pytest.raises(ValueError, match=f"start must {words}"):
            next(power_iteration(times(S), start))
    with pytest.raises(ValueError, match="k must be at most d = 3, got 4: there are no more components"):
        power_components(times(S), 3, 4)
    with pytest.raises(ValueError, match="k must be an integer of at least 1, got 0"):
        power_components(times(S), 3, 0)


def test_residuals_tell_what_has_not_converged(rng, monkeypatch):
    monkeypatch.setattr(power, "_STEPS", 50)
    _, _, residuals = power_components(times(np.diag([1.0, 0.999, 0.1])), 3, 1)
    assert residuals[0] > 1e-6
    with pytest.warns(UserWarning, match="power iteration should converge, got residuals up to .* in components 1:"):
        PCA(1, "power").fit(exact_covariance_data([1, 0.999, 0.1], 20, rng))


def test_orthogonality_takes_two_passes():
    # the rows of a Hilbert matrix are nearly dependent: taking the others out once leaves most of what is left wrong
    hilbert = 1 / (1.0 + np.add.outer(np.arange(8), np.arange(8)))

    def basis(orthogonal):
        vectors = np.empty((0, 8))
        for row in hilbert:
            vectors = np.vstack([vectors, orthogonal(row, vectors)])
        return vectors

    def once(v, vectors):
        v = v - vectors.T @ (vectors @ v)
        return v / np.linalg.norm(v)

    lost, kept = (np.abs(v @ v.T - np.eye(8)).max() for v in (basis(once), basis(power._orthogonal)))
    assert lost > 0.1
    assert kept < 1e-14
    # and it still spans the same: each row is a combination of the vectors up to it, the own one with a positive weight
    weights = hilbert @ basis(power._orthogonal).T
    np.testing.assert_allclose(np.triu(weights, 1), 0, atol=1e-15)
    assert (np.diag(weights) > 0).all()


@pytest.mark.parametrize("steps", [3, 20, 100_000])
def test_values_are_rayleigh_quotients_with_residuals_that_bound_their_errors(steps, rng, monkeypatch):
    # converged or not: an eigenvalue lies within ||S v - lambda v|| of lambda, by S itself and not what is left of it
    monkeypatch.setattr(power, "_STEPS", steps)
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    exact = np.array([3.0, 2.7, 2.0, 1.1, 0.4, 0.1])
    matrix = rotation.T @ np.diag(exact) @ rotation
    values, vectors, residuals = power_components(times(matrix), 6, 4)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(values, np.einsum("ij,jk,ik->i", vectors, matrix, vectors), rtol=1e-13)
    np.testing.assert_allclose(
        residuals, np.linalg.norm(vectors @ matrix - values[:, None] * vectors, axis=1), rtol=1e-6, atol=1e-14
    )
    assert (np.diff(values) <= 0).all()
    nearest = np.abs(values[:, None] - exact).min(axis=1)
    assert (nearest <= residuals + 1e-14).all()
    assert (residuals.max() > 1e-3) == (steps < 100)
