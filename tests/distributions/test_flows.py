"""Flows: their Jacobians, densities, inverses and gradients, by brute force and in closed form."""

import numpy as np
import pytest
from scipy import optimize

from minivae.core import kernels
from minivae.core.errors import NonFiniteError
from minivae.core.registry import from_spec, to_spec
from minivae.distributions.autoregressive import InverseAutoregressiveFlow
from minivae.distributions.full import FullGaussian
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.distributions.planar import PlanarFlow
from minivae.distributions.priors import StandardNormal
from minivae.nn.gradcheck import check_gradient
from tests.support import S2, W, Y, assert_within_standard_errors

LOG_P, N = -3.3325970840, 100_000


def iaf(n_latent, **how):
    return InverseAutoregressiveFlow(n_latent, **{"n_hidden": [6], "n_context": 2} | how)


FLOWS = {
    "gate": lambda n: iaf(n),
    "gate, three blocks of two layers": lambda n: iaf(n, n_blocks=3, n_hidden=[5, 7]),
    "affine": lambda n: iaf(n, form="affine"),
    "linear": lambda n: iaf(n, n_blocks=1, n_hidden=[]),
    "without context": lambda n: iaf(n, n_context=0),
    "planar": PlanarFlow,
    "planar, one step": lambda n: PlanarFlow(n, 1),
}


@pytest.fixture(params=FLOWS)
def make(request):
    return FLOWS[request.param]


def instance(make, n_latent, rng, n_batch=3, scale=0.7):
    """Return a flow, parameters of which none is zero, and a head."""
    q = make(n_latent)
    params = q.init(rng) if q.n_params else np.empty(0)
    params = params + 0.5 * rng.normal(size=params.shape)
    return q, params, scale * rng.normal(size=(n_batch, q.n_head))


def jacobian(f, x, step=1e-3):
    """Return df_i/dx_j of one vector by central differences of sixth order."""
    columns = []
    for j in range(len(x)):
        e = np.zeros(len(x))
        e[j] = step
        columns.append(sum(c * (f(x + k * e) - f(x - k * e)) for k, c in ((1, 45), (2, -9), (3, 1))) / (60 * step))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("n_latent", [1, 2, 4])
def test_log_q_is_that_of_the_noise_less_the_log_determinant_of_the_jacobian(make, n_latent, rng):
    q, params, head = instance(make, n_latent, rng)
    eps = rng.normal(size=(2, 3, n_latent))
    z, log_q, _ = q.sample(params, head, eps)
    for k, b in np.ndindex(2, 3):

        def draw(e, b=b):
            return q.sample(params, head[b : b + 1], e[None, None])[0][0, 0]

        sign, log_det = np.linalg.slogdet(jacobian(draw, eps[k, b]))
        assert sign == 1
        expected = StandardNormal(n_latent).log_prob(params, eps)[k, b] - log_det
        np.testing.assert_allclose(log_q[k, b], expected, rtol=0, atol=1e-8)
        np.testing.assert_allclose(z[k, b], draw(eps[k, b]), rtol=1e-13)


@pytest.mark.parametrize("n_latent", [1, 2, 5])
def test_the_inverse_inverts_and_the_density_is_that_of_the_draw(make, n_latent, rng):
    q, params, head = instance(make, n_latent, rng)
    eps = rng.normal(size=(4, 3, n_latent))
    z, log_q, _ = q.sample(params, head, eps)
    z0, log_det = q.inverse(params, head, z)
    mu, log_var = head[:, :n_latent], head[:, n_latent : 2 * n_latent]
    np.testing.assert_allclose(z0, mu + np.exp(log_var / 2) * eps, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(q.log_prob(params, head, z), log_q, rtol=1e-8, atol=1e-8)
    base = kernels.reparameterize(np.ascontiguousarray(head[:, : 2 * n_latent]), eps)[1]
    np.testing.assert_allclose(log_det, base - log_q, rtol=1e-7, atol=1e-8)
    # the other way about: any z is the draw of the noise to which it goes back
    z = rng.normal(size=(4, 3, n_latent))
    noise = (q.inverse(params, head, z)[0] - mu) / np.exp(log_var / 2)
    np.testing.assert_allclose(q.sample(params, head, noise)[0], z, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("n_latent", [1, 2])
def test_the_density_integrates_to_one_and_has_the_moments_of_the_draws(make, n_latent, rng):
    q, params, head = instance(make, n_latent, rng, n_batch=1, scale=0.5)
    x = np.linspace(-14, 14, 4001 if n_latent == 1 else 561)
    grid = np.stack(np.meshgrid(*[x] * n_latent, indexing="ij"), -1).reshape(-1, 1, n_latent)
    weight = np.exp(q.log_prob(params, head, grid))[:, 0] * (x[1] - x[0]) ** n_latent
    assert abs(weight.sum() - 1) < 1e-5
    z, _, _ = q.sample(params, head, q.draw_noise(rng, (N, 1, n_latent), np.float64))
    for moment in (lambda z: z, lambda z: z**2, lambda z: z[:, :1] * z, np.cos):
        assert_within_standard_errors(moment(z[:, 0]), weight @ moment(grid[:, 0]))


def test_backward_is_the_total_derivative_for_head_and_own_parameters(make, rng):
    q, params, head = instance(make, 3, rng)
    eps = rng.normal(size=(4, 3, 3))
    dz, dlog_q = rng.normal(size=eps.shape), rng.normal(size=eps.shape[:2])
    _, _, cache = q.sample(params, head, eps)
    grads = np.full_like(params, np.nan)
    dhead = q.backward(params, cache, dz, dlog_q, grads)

    def value(theta):
        own, head_ = theta[: len(params)], theta[len(params) :].reshape(head.shape)
        z, log_q, _ = q.sample(own.copy(), head_, eps)
        return float(np.sum(dz * z) + np.sum(dlog_q * log_q))

    assert check_gradient(value, np.concatenate([grads, dhead.ravel()]), np.concatenate([params, head.ravel()])).ok


def test_score_is_the_derivative_of_log_prob_at_fixed_z(make, rng):
    q, params, head = instance(make, 3, rng)
    dlog_q = rng.normal(size=(4, 3))
    z, _, cache = q.sample(params, head, rng.normal(size=(4, 3, 3)))
    grads = np.full_like(params, np.nan)
    dhead = q.score(params, cache, dlog_q, grads)

    def value(theta):
        own, head_ = theta[: len(params)], theta[len(params) :].reshape(head.shape)
        return float(np.sum(dlog_q * q.log_prob(own.copy(), head_, z)))

    assert check_gradient(value, np.concatenate([grads, dhead.ravel()]), np.concatenate([params, head.ravel()])).ok


def test_slope_is_the_derivative_of_the_density_in_z(make, rng):
    q, params, head = instance(make, 3, rng)
    z, _, cache = q.sample(params, head, rng.normal(size=(4, 3, 3)))

    def value(theta):
        return float(q.log_prob(params, head, theta.reshape(z.shape)).sum())

    assert check_gradient(value, q.slope(params, cache).ravel(), z.ravel()).ok


@pytest.mark.parametrize("n_latent", [1, 2])
def test_the_score_has_mean_zero(make, n_latent, rng):
    # E_q[d log q / d theta] = 0 for every distribution: by nodes that are exact for smooth functions
    q, params, head = instance(make, n_latent, rng, n_batch=1, scale=0.3)
    eps, w = normal_nodes(n_latent, step=0.15, far=8.0)
    _, _, cache = q.sample(params, head, eps)
    grads = np.full_like(params, np.nan)
    dhead = q.score(params, cache, w[:, None], grads)
    np.testing.assert_allclose(dhead, 0, atol=1e-8)
    np.testing.assert_allclose(grads, 0, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_head_and_single_precision_is_near_double(make, dtype, rng):
    q, params, head = instance(make, 3, rng)
    eps = q.draw_noise(rng, (4, 3, 3), dtype)
    own, short = params.astype(dtype), head.astype(dtype)
    z, log_q, cache = q.sample(own, short, eps)
    grads = np.full_like(own, np.nan)
    results = [z, log_q, q.backward(own, cache, z, log_q, grads), q.score(own, cache, log_q, grads)]
    results += [*q.inverse(own, short, z), q.log_prob(own, short, z), q.mean(own, short), q.code(own, short)]
    assert {a.dtype for a in (*results, grads)} == {np.dtype(dtype)}
    assert np.isfinite(grads).all()
    exact = q.sample(params, head, eps.astype(float))
    np.testing.assert_allclose(z, exact[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_q, exact[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(q.log_prob(own, short, z), log_q, rtol=1e-2, atol=1e-2)


def test_two_draws_before_one_backward_do_not_mix(make, rng):
    q, params, head = instance(make, 2, rng)
    eps = rng.normal(size=(2, 1, 3, 2))
    caches = [q.sample(params, head, e)[2] for e in eps]
    dz, dlog_q, grads = rng.normal(size=(1, 3, 2)), rng.normal(size=(1, 3)), np.empty((3, len(params)))
    both = q.sample(params, head, eps[:, 0])[2]
    total = q.backward(params, both, np.tile(dz, (2, 1, 1)), np.tile(dlog_q, (2, 1)), grads[2])
    parts = [q.backward(params, caches[i], dz, dlog_q, grads[i]) for i in (0, 1)]
    np.testing.assert_allclose(parts[0] + parts[1], total, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grads[0] + grads[1], grads[2], rtol=1e-10, atol=1e-12)


def test_the_mean_is_near_that_by_quadrature_and_the_code_is_the_draw_without_noise(make, rng):
    q, params, head = instance(make, 2, rng)
    eps, w = normal_nodes(2, step=0.25, far=7.0)
    z, _, _ = q.sample(params, head, np.repeat(eps, 3, axis=1))
    exact = np.einsum("k,kbl->bl", w, z)
    spread = np.sqrt(np.einsum("k,kbl->bl", w, (z - exact) ** 2))
    assert (np.abs(q.mean(params, head) - exact) < 0.05 * spread + 1e-3).all()
    np.testing.assert_array_equal(q.code(params, head), q.sample(params, head, np.zeros((1, 3, 2)))[0][0])


def test_it_is_saved_and_a_head_of_another_width_refused(make, rng):
    q, params, head = instance(make, 2, rng)
    assert from_spec(to_spec(q)) == q
    for wrong in (head[:, 1:], np.concatenate([head, head[:, :1]], axis=1)):
        with pytest.raises(ValueError, match=rf"head must be an array of shape \(any, {q.n_head}\)"):
            q.sample(params, wrong, rng.normal(size=(1, 3, 2)))
        with pytest.raises(ValueError, match="head must be an array of shape"):
            q.log_prob(params, wrong, rng.normal(size=(1, 3, 2)))
    with pytest.raises(ValueError, match=f"states that can be enumerated, got {type(q).__name__}"):
        q.states(params, head)


def test_what_overflows_is_said(make, rng):
    q, params, head = instance(make, 2, rng)
    head[:, 2:4] = 2000.0
    with pytest.raises(NonFiniteError, match="a draw of z holds"):
        q.sample(params, head, np.ones((1, 3, 2)))
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(q.sample(params, head, np.ones((1, 3, 2)))[0]).all()


# ------------------------------------------------------------------------------------------------ autoregressive


@pytest.mark.parametrize("form", ["gate", "affine"])
@pytest.mark.parametrize("n_hidden", [[], [7], [7, 5]])
def test_a_block_is_triangular_with_zeros_that_are_exact(form, n_hidden, rng):
    for n_blocks, above in ((1, True), (2, False)):
        q, params, head = instance(lambda n, k=n_blocks: iaf(n, n_blocks=k, form=form, n_hidden=n_hidden), 4, rng, 1)
        eps = rng.normal(size=(1, 1, 4))
        moves = np.zeros((4, 4), bool)
        for j in range(4):
            changed = eps.copy()
            changed[0, 0, j] += 1
            moves[:, j] = (q.sample(params, head, eps)[0] != q.sample(params, head, changed)[0])[0, 0]
        if above:
            np.testing.assert_array_equal(moves, np.tri(4, dtype=bool))
        else:
            assert moves.all()  # the second block goes the other way


def test_the_second_block_takes_the_latents_in_the_opposite_order(rng):
    q = iaf(3, n_blocks=3)
    assert [q.order(i) for i in range(3)] == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]
    x, params = rng.normal(size=(1, 5)), rng.normal(size=q.n_params)
    for block in range(3):
        net, own = q.nets[block], params[q.slices[block]]
        for i in range(3):
            changed = x.copy()
            changed[0, i] += 1
            differs = (net.forward(own, x)[0] != net.forward(own, changed)[0])[0]
            after = q.order(block)[q.order(block).index(i) + 1 :]
            np.testing.assert_array_equal(np.flatnonzero(differs), sorted([*after, *(3 + j for j in after)]))
        changed = x.copy()
        changed[0, 3:] += 1  # the context reaches all
        assert (net.forward(own, x)[0] != net.forward(own, changed)[0]).all()


def test_it_starts_near_the_identity_with_an_open_gate(rng):
    q = InverseAutoregressiveFlow(3, n_blocks=1)
    params = q.init(rng)
    logits = q.nets[0].out_bias(params[q.slices[0]])[3:]
    np.testing.assert_array_equal(logits, 2.0)
    assert len(params) == q.n_params == sum(view.size for _, view in q.named(params))
    assert [name for name, _ in q.named(params)] == [
        f"block 0.{i}.{what}" for i in (0, 2) for what in ("weight", "bias")
    ]


def linear_step(root, mean, form):
    """Return one linear step, its parameters and its head under which z = mean + root eps."""
    q = InverseAutoregressiveFlow(2, 1, [], 0, form)
    s = 0.6
    params = np.zeros(q.n_params)
    parts = dict(q.named(params))
    sigma = np.diag(root) / s
    share = 1 - s if form == "gate" else 1
    parts["block 0.0.weight"][0, 1] = root[1, 0] / sigma[0] / share  # m_2 as a function of z_1
    parts["block 0.0.bias"][2:] = np.log(s / (1 - s))
    mu = np.linalg.solve(root / sigma, mean)
    return q, params, np.concatenate([mu, 2 * np.log(sigma)])[None]


@pytest.mark.parametrize("form", ["gate", "affine"])
def test_one_linear_step_is_a_gaussian_with_full_covariance_and_attains_log_p(form, rng):
    posterior = LinearGaussian(W, np.zeros(3), S2).posterior(Y)
    root = np.linalg.cholesky(posterior[1])
    q, params, head = linear_step(root, posterior[0][0], form)
    eps = rng.normal(size=(9, 1, 2))
    z, log_q, _ = q.sample(params, head, eps)
    full = FullGaussian(2)
    packed = np.array([[*posterior[0][0], *np.log(np.diag(root)), root[1, 0]]])
    other, other_log_q, _ = full.sample(params[:0], packed, eps)
    np.testing.assert_allclose(z, other, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(log_q, other_log_q, rtol=1e-12)
    # the ELBO at nodes that are exact for it, and the same number at every draw
    r = Y[0] - z @ W.T
    joint = -0.5 * (3 * np.log(2 * np.pi * S2) + np.sum(r**2, axis=2) / S2)
    np.testing.assert_allclose(joint + StandardNormal(2).log_prob(head, z) - log_q, LOG_P, atol=1e-9)


def test_bad_settings_are_refused():
    for how, words in (
        ({"n_blocks": 0}, "n_blocks must be an integer of at least 1, got 0"),
        ({"n_hidden": [0]}, "n_hidden must be an integer of at least 1, got 0"),
        ({"n_hidden": 8}, "n_hidden must be a list of integers, got 8"),
        ({"n_context": -1}, "n_context must be an integer of at least 0, got -1"),
        ({"form": "gat"}, "form must be one of gate, affine; got 'gat'. Did you mean 'gate'"),
    ):
        with pytest.raises(ValueError, match=words):
            InverseAutoregressiveFlow(2, **how)
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 1, got 0"):
        PlanarFlow(2, 0)


# ------------------------------------------------------------------------------------------------------- planar


@pytest.mark.parametrize("scale", [1e-9, 1.0, 3.0, 8.0])
def test_a_planar_step_can_always_be_inverted(scale, rng):
    w, v = scale * rng.normal(size=(2, 500, 3, 2))
    u, c = kernels.planar_bend(w, v)
    a = np.sum(w * v, axis=2)
    assert (c > 0).all()
    np.testing.assert_allclose(np.sum(w * u, axis=2), c - 1, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(c, np.logaddexp(a + np.log(np.e - 1), 0), rtol=1e-12)
    assert (np.sign(u) == np.sign(v)).all()  # longer or shorter, never turned


def test_the_bend_is_smooth_where_its_formula_cancels():
    # du/dw and du/dv on both sides of the places where another formula takes over
    for a in (-0.0200001, -0.0199999, -1e-8, 0.0, 1e-8, 0.0199999, 0.0200001):
        w, v, dc = np.array([[[a]]]), np.ones((1, 1, 1)), np.zeros((1, 1))
        dw, dv = kernels.planar_bend_backward(w, v, np.ones((1, 1, 1)), dc)
        slopes = [
            jacobian(lambda t, v=v: kernels.planar_bend(t[None, None], v)[0][0, 0], w[0, 0], 1e-2),
            jacobian(lambda t, w=w: kernels.planar_bend(w, t[None, None])[0][0, 0], v[0, 0], 1e-2),
        ]
        np.testing.assert_allclose([dw.item(), dv.item()], np.ravel(slopes), rtol=1e-10, atol=1e-12)


def test_the_root_of_a_step_is_found_wherever_it_lies(rng):
    # steps that nearly fold, stretch a hundredfold, or barely move; points near and far
    for bent in (-12.0, -3.0, 0.5, 100.0):
        q = PlanarFlow(1, 1)
        head = np.array([[0.0, 0.0, 1.0, bent, 0.3]])
        z0 = np.concatenate([rng.normal(size=200), [-0.3, 40.0, -40.0]])[:, None, None]
        z, _, _ = q.sample(np.empty(0), head, z0)
        back, _ = q.inverse(np.empty(0), head, z)
        again, _, _ = q.sample(np.empty(0), head, back)
        np.testing.assert_allclose(again, z, rtol=1e-13, atol=1e-14)
        assert (np.diff(np.sort(z0.ravel())) > 0).all()
        order = np.argsort(z0.ravel())
        assert (np.diff(z.ravel()[order]) >= 0).all()


def test_a_planar_step_against_the_formula_of_the_paper(rng):
    # log |det| = log |1 + u^T psi|, psi = (1 - tanh^2(w^T z + b)) w, with the u that the flow used
    q, params, head = instance(lambda n: PlanarFlow(n, 1), 3, rng)
    eps = rng.normal(size=(4, 3, 3))
    z, log_q, _ = q.sample(params, head, eps)
    w, v, b = head[:, 6:9], head[:, 9:12], head[:, 12]
    z0 = head[:, :3] + np.exp(head[:, 3:6] / 2) * eps
    a = np.sum(w * v, axis=1)
    u = v * ((np.log1p((np.e - 1) * np.exp(a)) - 1) / a)[:, None]
    h = np.tanh(np.sum(w * z0, axis=2) + b)
    np.testing.assert_allclose(z, z0 + u * h[:, :, None], rtol=1e-12)
    psi = (1 - h**2)[:, :, None] * w
    base = StandardNormal(3).log_prob(params, eps) - head[:, 3:6].sum(axis=1) / 2
    np.testing.assert_allclose(log_q, base - np.log(np.abs(1 + np.sum(u * psi, axis=2))), rtol=1e-12)


# ------------------------------------------------------------------------ bounds, and what each family can attain


def test_the_flow_of_a_linear_step_is_found_by_training(rng):
    # the decoder is that of model A and fixed; nodes make the ELBO a function of the parameters, without noise
    q = InverseAutoregressiveFlow(2, 1, [], 0, "affine")
    eps, w = gauss_hermite(5, 2)

    def loss(theta):
        own, head = theta[: q.n_params].copy(), theta[q.n_params :][None].copy()
        z, log_q, cache = q.sample(own, head, eps)
        r = Y[0] - z @ W.T
        joint = -0.5 * (3 * np.log(2 * np.pi * S2) + np.sum(r**2, axis=2) / S2)
        elbo = w @ (joint + StandardNormal(2).log_prob(own, z) - log_q)
        grads = np.empty_like(own)
        dz = -w[:, None, None] * (r @ W / S2 - z)
        dhead = q.backward(own, cache, dz, w[:, None], grads)
        return -elbo.item(), np.concatenate([grads, dhead[0]])

    start = np.concatenate([q.init(rng), np.zeros(4)])
    found = optimize.minimize(loss, start, jac=True, method="BFGS", options={"maxiter": 500, "gtol": 1e-8})
    assert abs(-found.fun - LOG_P) < 1e-6
