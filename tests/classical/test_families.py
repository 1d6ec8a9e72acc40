"""Every family: its density, its draws and both derivatives, by quadrature over the noise and beside scipy.stats."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from minivae.classical import families
from minivae.classical.families import (
    Beta,
    Cauchy,
    ChiSquare,
    Exponential,
    Gamma,
    Gumbel,
    Kumaraswamy,
    Laplace,
    Logistic,
    LogNormal,
    NoncentralChiSquare,
    Normal,
    StudentT,
    TruncatedNormal,
    Weibull,
    uniform_nodes,
)
from minivae.distributions.nodes import gauss_hermite
from minivae.studies.gradients_families import FAMILIES, check_family

_U, _W = (x[uniform_nodes()[0] > 1e-40] for x in uniform_nodes())  # below, z^4 overflows of the heaviest tails
U, W = np.append(_U / 2, (1 + _U) / 2), np.append(_W, _W) / 2  # cut at the kink of the Laplace distribution
U, W = U[U < 1], W[U < 1]
# family, its twin in scipy.stats, and whether z rises with u
TWINS = [
    (Normal(0.4, 0.9), stats.norm(0.4, 0.9), True),
    (Laplace(0.4, 0.9), stats.laplace(0.4, 0.9), True),
    (Logistic(0.4, 0.9), stats.logistic(0.4, 0.9), True),
    (Cauchy(0.4, 0.9), stats.cauchy(0.4, 0.9), True),
    (Gumbel(0.4, 0.9), stats.gumbel_r(0.4, 0.9), True),
    (StudentT(0.4, 0.9, 3.5), stats.t(3.5, 0.4, 0.9), True),
    (Exponential(1.7), stats.expon(scale=1 / 1.7), False),
    (Weibull(1.3, 1.8), stats.weibull_min(1.8, scale=1.3), False),
    (TruncatedNormal(0.4, 0.9, -0.5, 2.0), stats.truncnorm(-1.0, 1.6 / 0.9, 0.4, 0.9), True),
    (TruncatedNormal(0.4, 0.9, low=0.5), stats.truncnorm(0.1 / 0.9, np.inf, 0.4, 0.9), True),
    (TruncatedNormal(0.4, 0.9, high=0.5), stats.truncnorm(-np.inf, 0.1 / 0.9, 0.4, 0.9), True),
    (TruncatedNormal(0.4, 0.9), stats.norm(0.4, 0.9), True),
    (LogNormal(0.4, 0.9), stats.lognorm(0.9, scale=np.exp(0.4)), True),
    (Gamma(2.0, 0.7), stats.gamma(2.0, scale=0.7), True),
    (Gamma(0.3, 1.4), stats.gamma(0.3, scale=1.4), True),
    (Beta(2.0, 0.7), stats.beta(2.0, 0.7), True),
]
NAMES = [repr(family) for family, *_ in TWINS]
ONE_NOISE = [family for family, *_ in TWINS] + [Kumaraswamy(2.0, 3.0), Kumaraswamy(0.6, 0.7), StudentT(-1.0, 2.0, 0.8)]


def derivative(family, df, u=U, w=W):
    """Return E[f'(z) dz/dtheta]."""
    return family.path(u) @ (w * df(family.sample(u)))


def by_score(family, f, u=U, w=W):
    z = family.sample(u)
    return family.score(z) @ (w * f(z))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
@pytest.mark.parametrize("seed", range(3))
def test_path_and_score_are_the_derivatives(family, seed):
    row = check_family(family, rng=np.random.default_rng(seed))
    assert row.ok, row.message
    assert row.n_checked == len(family.theta) * (3 if hasattr(family, "log_noise") else 2)


def test_every_family_has_a_row():
    classes = {getattr(families, name) for name in families.__all__}
    all_of_them = {one for one in classes if isinstance(one, type) and issubclass(one, families.Family)}
    assert {type(family) for family in FAMILIES} == all_of_them - {families.Family}


# ---------------------------------------------------------------------------------------- known derivatives


def test_exponential():
    assert derivative(Exponential(1.7), lambda z: 2 * z) == pytest.approx([-0.8141664970], abs=1e-9)


def test_gumbel():
    assert derivative(Gumbel(-1.0, 2.0), np.ones_like) == pytest.approx([1, 0.5772156649], abs=1e-9)
    assert derivative(Gumbel(0.3, 0.7), lambda z: 2 * z)[1] == pytest.approx(3.1156861859, abs=1e-9)


def test_logistic():
    slope = derivative(Logistic(0.3, 0.7), lambda z: -1.1 * np.sin(1.1 * z))
    assert slope[1] == pytest.approx(-0.8551149058, abs=1e-9)


def test_laplace():
    slope = derivative(Laplace(0.3, 0.7), lambda z: -1.1 * np.sin(1.1 * z))
    assert slope[1] == pytest.approx(-0.6316070322, abs=1e-9)


def test_cauchy():
    cauchy = Cauchy(0.4, 0.9)
    assert W @ (1 / (1 + cauchy.sample(U) ** 2)) == pytest.approx(0.5039787798, abs=1e-9)
    slopes = derivative(cauchy, lambda z: -2 * z / (1 + z**2) ** 2)
    assert slopes == pytest.approx([-0.1069450992, -0.2427372317], abs=1e-9)


def test_weibull():
    assert derivative(Weibull(1.3, 1.8), np.ones_like) == pytest.approx([0.8892867325, -0.0311081193], abs=1e-9)


def test_kumaraswamy():
    one = Kumaraswamy(2.0, 3.0)
    assert W @ one.sample(U) == pytest.approx(16 / 35, abs=1e-9)
    assert derivative(one, np.ones_like) == pytest.approx([0.1545578231, -0.0606872036], abs=1e-9)


def test_noncentral_chi_square():
    one = NoncentralChiSquare(scale=0.8, df=3, nc=1.5)
    eps, w = gauss_hermite(6, 3)
    z = one.sample(eps[:, 0])
    assert w @ z**2 == pytest.approx(20.64, abs=1e-9)
    assert one.path(eps[:, 0]) @ (2 * z * w) == pytest.approx([51.6, 8.32], abs=1e-9)


def test_the_degrees_of_freedom_are_a_loop_count_and_the_gamma_shape_is_not():
    gamma = ChiSquare(df=3).as_gamma()
    slope = gamma.path(U)[0] @ (W / gamma.sample(U)) / 2  # shape = df / 2
    assert slope == pytest.approx(0.4674011003, abs=1e-9)
    difference = [W @ np.log(ChiSquare(df=df).as_gamma().sample(U)) for df in (3, 4)]
    assert difference[1] - difference[0] == pytest.approx(0.3862943611, abs=1e-9)
    assert ChiSquare(df=3).path(np.ones((5, 3))).shape == (1, 5)  # of the scale alone


@pytest.mark.parametrize(
    ("alpha", "z", "slope"),
    [
        (2, 1.5, 0.9366390679),
        (0.5, 0.2, 0.7940505663),
        (1, 1, 1.1735630272),
        (5, 4, 0.9227261343),
        (10, 12, 1.1123294430),
    ],
)
def test_gamma_at_points(alpha, z, slope):
    u = special.gammainc(alpha, z)
    assert Gamma(alpha).path(u)[0] == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.4, 1.0, 2.0, 30.0])
def test_gamma_on_average(alpha):
    gamma = Gamma(alpha)
    z, path = gamma.sample(U), gamma.path(U)[0]
    assert W @ path == pytest.approx(1, abs=1e-9)
    assert W @ (path / z) == pytest.approx(special.polygamma(1, alpha), rel=1e-9)


def test_variances_of_gamma_gradients():
    gamma = Gamma(2.0)
    z, path, score = gamma.sample(U), gamma.path(U)[0], gamma.score(gamma.sample(U))[0]
    assert W @ path**2 - 1 == pytest.approx(0.1368591037, abs=1e-9)
    assert W @ (z * score) == pytest.approx(1, abs=1e-9)
    assert W @ (z * score) ** 2 - 1 == pytest.approx(4.8696044011, abs=1e-9)


# ------------------------------------------------------------------------------------------------- every one


@pytest.mark.parametrize(("family", "twin", "rising"), TWINS, ids=NAMES)
def test_draws_and_densities_are_those_of_scipy(family, twin, rising):
    u = np.array([1e-9, 1e-4, 0.01, 0.2, 0.5, 0.7, 0.93, 0.999, 1 - 1e-7])
    z = family.sample(u)
    np.testing.assert_allclose(z, twin.ppf(u) if rising else twin.isf(u), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(family.log_prob(z), twin.logpdf(z), rtol=1e-10, atol=1e-10)
    assert family.support == twin.support()


@pytest.mark.parametrize("family", ONE_NOISE, ids=repr)
def test_both_gradients_are_one_another(family):
    # of a smooth bounded f, for which both exist whatever the tails
    by_path = derivative(family, lambda z: (1 - z**2) / (1 + z**2) ** 2)
    np.testing.assert_allclose(by_score(family, lambda z: z / (1 + z**2)), by_path, rtol=0, atol=2e-10)
    np.testing.assert_allclose(by_score(family, np.ones_like), 0, atol=2e-10)


@pytest.mark.parametrize("family", [Kumaraswamy(2.0, 3.0), Kumaraswamy(0.6, 1.7)], ids=repr)
def test_kumaraswamy_has_its_distribution(family):
    z = np.linspace(0.05, 0.95, 7)
    u = 1 - (1 - z**family.a) ** family.b
    np.testing.assert_allclose(family.sample(u), z, rtol=1e-12)
    total = integrate.quad(lambda t: np.exp(family.log_prob(t)), 0, z[3], epsabs=1e-12)[0]
    assert total == pytest.approx(u[3], abs=1e-9)


@pytest.mark.parametrize("df", [1, 2, 3, 6])
def test_sums_of_squares_have_their_density(df):
    z = np.array([0.01, 0.3, 2.0, 9.0, 40.0])
    np.testing.assert_allclose(ChiSquare(0.8, df).log_prob(z), stats.chi2(df, scale=0.8).logpdf(z), rtol=1e-12)
    np.testing.assert_allclose(ChiSquare(0.8, df).as_gamma().log_prob(z), ChiSquare(0.8, df).log_prob(z), rtol=1e-12)
    twin = stats.ncx2(df, 1.5, scale=0.8)
    np.testing.assert_allclose(NoncentralChiSquare(0.8, df, 1.5).log_prob(z), twin.logpdf(z), rtol=1e-9)


@pytest.mark.parametrize("df", [1, 3])
def test_gradients_of_sums_of_squares_agree(df):
    # E of z^2 and z^3 is exact by few nodes through the path; the score takes an integral over z
    eps, w = gauss_hermite(8, df)
    for family in (ChiSquare(0.8, df), NoncentralChiSquare(0.8, df, 1.5)):
        z = family.sample(eps[:, 0])
        by_path = family.path(eps[:, 0]) @ (w * (2 * z + 3 * z**2))
        x = np.exp(np.linspace(-60, 6, 4001))
        p = np.exp(family.log_prob(x)) * x * np.diff(np.log(x))[0]
        np.testing.assert_allclose(family.score(x) @ (p * (x**2 + x**3)), by_path, rtol=1e-9)
        np.testing.assert_allclose(family.score(x) @ p, 0, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_noise_and_draws_have_the_shapes_they_say(family):
    rng = np.random.default_rng(0)
    u = family.noise(rng, (2, 4))
    assert u.shape == (2, 4, *family.noise_shape)
    z, n = family.sample(u), len(family.theta)
    assert z.shape == (2, 4, *family.z_shape)
    assert family.log_prob(z).shape == (2, 4)
    assert family.path(u).shape == (n, *z.shape)
    assert family.score(z).shape == family.correction(u).shape == (n, 2, 4)
    one = family.noise(rng)
    assert family.sample(one).shape == family.z_shape
    assert family.path(one).shape == (n, *family.z_shape)
    np.testing.assert_allclose(family.path(u)[..., 1, 2, :] if family.z_shape else family.path(u)[:, 1, 2],
                               family.path(u[1, 2]), rtol=1e-13)  # fmt: skip
    assert bool(np.any(family.correction(u))) == hasattr(family, "log_noise")


@pytest.mark.parametrize(
    "make",
    [Normal, StudentT, Weibull, Kumaraswamy, Gamma, Beta, LogNormal, families.GammaByRejection,
     families.BetaByRejection, lambda *a: NoncentralChiSquare(a[0], 2, a[1]), lambda *a: TruncatedNormal(*a, 0.0, 3.0)],
)  # fmt: skip
def test_parameters_may_be_arrays_entry_for_entry(make):
    a, b = np.array([0.8, 1.5, 2.5]), np.array([1.2, 0.7, 3.0])
    together, apart = make(a, b), [make(x, y) for x, y in zip(a, b, strict=True)]
    u = together.noise(np.random.default_rng(0), (4, 3))
    z = together.sample(u)
    for i, one in enumerate(apart):
        for name, at in (("sample", u), ("path", u), ("correction", u), ("log_prob", z), ("score", z)):
            found, wanted = getattr(together, name)(at), getattr(one, name)(at[:, i])
            np.testing.assert_allclose(found[..., i], wanted, rtol=1e-12, atol=1e-14)


def test_noise_is_uniform_and_never_zero():
    class Zero(np.random.Generator):
        def random(self, shape):
            return np.zeros(shape)

    assert Normal().noise(Zero(np.random.PCG64(0)), (3,)).min() > 0
    assert np.isfinite(Gumbel().sample(Normal().noise(Zero(np.random.PCG64(0)), (3,)))).all()
    u = Normal().noise(np.random.default_rng(0), (1000,))
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12_000)
    eps = ChiSquare(df=2).noise(np.random.default_rng(0), (1000,))
    assert abs(eps.mean()) < 5 / np.sqrt(2000)
    assert abs(eps.var() - 1) < 5 * np.sqrt(2 / 2000)


# -------------------------------------------------------------------------------------------------- the tails


def test_location_scale_draws_are_exact_near_both_ends():
    u = np.array([1e-300, 1e-20])
    np.testing.assert_allclose(Laplace().sample(u), np.log(2 * u), rtol=1e-14)
    np.testing.assert_allclose(Cauchy().sample(u), -1 / (np.pi * u), rtol=1e-14)
    near = 1 - np.array([2.0**-53, 2.0**-40])
    np.testing.assert_allclose(Cauchy().sample(near), 1 / (np.pi * (1 - near)), rtol=1e-14)
    np.testing.assert_allclose(Laplace().sample(near), -np.log(2 * (1 - near)), rtol=1e-14)


@pytest.mark.parametrize("sign", [1, -1])
def test_truncated_normals_far_in_a_tail(sign):
    # above 50 standard deviations nearly exponential with rate 50: Q(x) = phi(x) (1/x - 1/x^3 + ...)
    low, high = sorted((sign * 50.0, sign * np.inf))
    one = TruncatedNormal(0.0, 1.0, low, high)
    u = np.array([1e-6, 0.3, 0.9])
    z = sign * one.sample(u)
    tail = special.log_ndtr(-z) - special.log_ndtr(-50.0)
    np.testing.assert_allclose(tail, np.log1p(-u) if sign > 0 else np.log(u), rtol=0, atol=1e-12)
    np.testing.assert_allclose(one.log_prob(sign * z), stats.norm.logpdf(z) - special.log_ndtr(-50.0), rtol=1e-13)
    moved = [TruncatedNormal(m, 1.0, low, high).sample(u) for m in (-1e-3, 1e-3)]
    np.testing.assert_allclose(one.path(u)[0], (moved[1] - moved[0]) / 2e-3, rtol=1e-5, atol=1e-11)


def test_the_ends_of_a_truncated_normal_do_not_move():
    one = TruncatedNormal(0.4, 0.9, -0.5, 2.0)
    np.testing.assert_allclose(one.path([1e-12, 1 - 1e-12]), 0, atol=1e-10)
    assert one.moving_ends() == []


def test_a_t_distribution_with_many_degrees_of_freedom_is_normal():
    u = np.array([1e-10, 0.1, 0.6, 1 - 1e-7])
    np.testing.assert_allclose(StudentT(df=1e6).sample(u), Normal().sample(u), rtol=1e-4)
    np.testing.assert_array_equal(StudentT(1.0, 2.0, 3.5).path(0.5), [1, 0, 0])


@pytest.mark.parametrize("df", [0.8, 2.5, 40.0])
def test_the_path_of_the_degrees_of_freedom(df):
    u, h = np.array([1e-8, 0.01, 0.3, 0.6, 0.99]), 1e-4 * df

    def t(df):
        return stats.t.ppf(u, df)

    slope = (8 * (t(df + h) - t(df - h)) - t(df + 2 * h) + t(df - 2 * h)) / (12 * h)
    np.testing.assert_allclose(StudentT(1.0, 2.0, df).path(u)[2], 2 * slope, rtol=1e-8)


# ---------------------------------------------------------------------------------------------- the protocol


def test_theta_and_at():
    one = NoncentralChiSquare(0.8, 3, 1.5)
    np.testing.assert_array_equal(one.theta, [0.8, 1.5])
    assert one.at([2.0, 3.0]) == NoncentralChiSquare(2.0, 3, 3.0)
    assert TruncatedNormal(0, 1, -2, 2).at([1.0, 2.0]) == TruncatedNormal(1.0, 2.0, -2.0, 2.0)
    assert families.GammaByRejection(2.0, boost=3).at([1.0, 2.0]).boost == 3
    with pytest.raises(ValueError, match=r"theta must have shape \(2,\)"):
        one.at([1.0])


BAD = {
    "a scale of zero": (lambda: Normal(0, 0), "scale must be positive, got 0"),
    "a negative shape": (lambda: Gamma(-1), "shape must be positive, got -1"),
    "a NaN": (lambda: Normal(np.nan), "loc must hold finite real numbers, got nan"),
    "shapes that do not go together": (lambda: Normal(np.zeros(2), np.ones(3)), "loc and scale must have one shape"),
    "noise that does not go with them": (lambda: Normal(np.zeros(2)).sample(np.full(3, 0.5)), "u must have a shape"),
    "z that does not go with them": (lambda: Normal(np.zeros(2)).score(np.full(3, 0.5)), "z must have a shape"),
    "normal noise": (lambda: Normal().sample(1.3), "u must lie between 0 and 1, both excluded, got 1.3"),
    "z at the end": (lambda: Exponential().log_prob(0.0), r"z must lie inside the support \(0, inf\), got 0"),
    "z above the end": (lambda: Beta().score([0.5, 1.0]), r"z must lie inside the support \(0, 1\), got 1"),
    "too few normals": (lambda: ChiSquare(df=3).sample(np.ones(2)), r"u must have shape \(..., 3\), got \(2,\)"),
    "half a degree": (lambda: ChiSquare(df=1.5), "df must be an integer of at least 1, got 1.5"),
    "no central one": (lambda: NoncentralChiSquare(nc=0.0), "nc must be positive, got 0"),
    "a noncentral gamma": (lambda: NoncentralChiSquare().as_gamma(), "nc must be 0 for a gamma distribution"),
    "ends that are one": (lambda: TruncatedNormal(low=1, high=1), "low must be below high, got 1 and 1"),
    "an end that is NaN": (lambda: TruncatedNormal(low=np.nan), "low must be a finite number"),
    "one part": (lambda: families.Dirichlet([1.0]), "concentration must hold at least two numbers"),
    "parts that are not all": (lambda: families.Dirichlet([1, 1]).score([0.2, 0.2]), "z must sum to 1"),
    "other parts": (lambda: families.Dirichlet([1, 1]).score([0.2, 0.3, 0.5]), r"z must have shape \(..., 2\)"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_in_words(what):
    call, words = BAD[what]
    with pytest.raises(ValueError, match=words):
        call()
