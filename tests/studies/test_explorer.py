"""The explorer: its JavaScript computes what the package computes, and its page shows it."""

import base64
import json
import re
import tomllib
import warnings
from importlib.resources import files
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from py_mini_racer import MiniRacer

from minivae import datasets
from minivae.core.arrays import sigmoid
from minivae.datasets.dataset import Dataset
from minivae.distributions.kl import closed_kl
from minivae.distributions.likelihoods import Bernoulli, Gaussian, GaussianPerPixel
from minivae.distributions.priors import StandardNormal
from minivae.estimators.k_sample import KSampleBound
from minivae.estimators.objectives import Elbo
from minivae.estimators.schedules import Warmup
from minivae.models.autoencoder import Autoencoder
from minivae.models.belief import belief_network
from minivae.models.generation import interpolate
from minivae.models.vae import VAE
from minivae.nn import ACTIVATIONS, Dense, Front, Sequential
from minivae.studies.explorer import Trained, explorer_page
from minivae.studies.explorer.export import beta_of, description, exported, packed

HERE = files("minivae.studies.explorer")
N_X = 12
LIKELIHOODS = {"bernoulli": Bernoulli(), "gaussian": Gaussian(0.5), "gaussian-per-pixel": GaussianPerPixel()}
POSTERIORS = ("diagonal", "full", "fixed", "point")


def source(name):
    return (HERE / name).read_text("utf-8")


@pytest.fixture(scope="module")
def engine():
    """Return a JavaScript engine that has read the network's script."""
    engine = MiniRacer()
    engine.eval(source("network.js"))
    return engine


def model_of(posterior, likelihood, activation, n_latent=3):
    how = {"n_x": N_X, "n_latent": n_latent, "n_hidden": [9, 7], "activation": activation, "likelihood": likelihood}
    return Autoencoder.mlp(**how) if posterior == "point" else VAE.mlp(**how, posterior=posterior)


def with_parameters(model, rng, dtype=np.float32):
    """Return parameters of such a size that every activation bends and every bias counts."""
    return (model.init(rng) + 0.3 * rng.standard_normal(model.n_params)).astype(dtype)


def rows(rng, n=100):
    return (rng.random((n, N_X)) < 0.5).astype(np.float32)


def ask(engine, model, params, x, what, given):
    """Return what the page's network answers for each of the given rows."""
    engine.eval(f"var net = minivae.network({json.dumps(exported(model, params, x))});")
    return np.array(json.loads(engine.eval(f"JSON.stringify({json.dumps(given.tolist())}.map((v) => {what}))")))


# ------------------------------------------------------------------------------------ the network's arithmetic


@pytest.mark.parametrize(("likelihood", "activation"), list(product(LIKELIHOODS, ACTIVATIONS)))
def test_the_decoder_is_the_packages_on_a_hundred_codes(likelihood, activation, engine, rng):
    model = model_of("diagonal", LIKELIHOODS[likelihood], activation)
    params, z = with_parameters(model, rng), 2 * rng.standard_normal((100, 3)).astype(np.float32)
    found = ask(engine, model, params, rows(rng), "Array.from(net.decode(v))", z)
    np.testing.assert_allclose(found, model.decode(params, z), rtol=1e-5, atol=1e-5)
    assert found.std(axis=0).min() > 1e-3  # they do depend on z


@pytest.mark.parametrize(("posterior", "dtype"), list(product(POSTERIORS, ("float32", "float64"))))
def test_the_encoder_is_the_packages_on_a_hundred_rows(posterior, dtype, engine, rng):
    model = model_of(posterior, "gaussian", "tanh")
    params, x = with_parameters(model, rng, dtype), rows(rng)
    q = "((q) => [q.mu, q.sd || [], [0, 1, 2].map((i) => [0, 1, 2].map((j) => q.cov ? q.cov(i, j) : 0))].flat(2))"
    answer = ask(engine, model, params, x, f"{q}(net.encode(v)).map((a) => Array.from(a.length ? a : [a])).flat()", x)
    mu, rest = answer[:, :3], answer[:, 3:]
    np.testing.assert_allclose(mu, model.embed(params, x), rtol=1e-5, atol=1e-5)
    if posterior == "point":
        assert not rest.any()
        return
    sd, cov = rest[:, :3], rest[:, 3:].reshape(-1, 3, 3)
    np.testing.assert_allclose(cov, covariance(model, model.encode(params, x)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sd**2, np.diagonal(cov, axis1=1, axis2=2), rtol=1e-10)


def covariance(model, head):
    q = model.posterior
    if hasattr(q, "factor"):
        L = q.factor(head)
        return L @ L.swapaxes(1, 2)
    variance = np.full((len(head), 3), q.variance) if hasattr(q, "variance") else np.exp(q.split(head)[1])
    return variance[:, :, None] * np.eye(3)


@pytest.mark.parametrize("posterior", ["diagonal", "full", "fixed"])
def test_the_kl_is_the_closed_one(posterior, engine, rng):
    model = model_of(posterior, "bernoulli", "relu")
    params, x = with_parameters(model, rng, np.float64), rows(rng).astype(float)
    found = ask(engine, model, params, x, "minivae.kl(net.encode(v))", x)
    wanted = closed_kl(model.posterior, StandardNormal(3)).value(np.empty(0), model.encode(params, x))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_large_inputs_stay_right(engine, rng):
    ends = {"sigmoid": [0, 0.5, 1], "softplus": [0, np.log(2), 800], "elu": [-1, 0, 800], "tanh": [-1, 0, 1]}
    for name, wanted in ends.items():
        code = f"JSON.stringify(Array.from(minivae.run([{{kind: '{name}'}}], [], 0, [-800, 0, 800])))"
        np.testing.assert_allclose(json.loads(engine.eval(code)), wanted, atol=1e-300)
    logits = 50 * rng.standard_normal(5)
    model = VAE(Sequential([Dense(5, 2)]), VAE.mlp(5, 1).posterior, Sequential([Dense(1, 5)]), Bernoulli())
    params = np.zeros(model.n_params)
    params[-5:] = logits
    found = ask(engine, model, params, np.eye(5), "Array.from(net.decode(v))", np.zeros((1, 1)))
    np.testing.assert_allclose(found[0], sigmoid(logits.astype(np.float32).astype(float)), rtol=1e-12)


@pytest.mark.parametrize("n", range(7))
def test_numbers_come_back_bit_for_bit(n, engine, rng):
    values = (rng.standard_normal(n) * 10.0 ** rng.integers(-30, 30, n)).astype(np.float32)
    back = json.loads(engine.eval(f"JSON.stringify(Array.from(minivae.floats('{packed(values, 'x')}')))"))
    np.testing.assert_array_equal(np.array(back, np.float32), values)


PAIRS = {
    "any": lambda rng: rng.standard_normal((2, 4)),
    "two": lambda rng: rng.standard_normal((2, 2)),
    "opposite": lambda rng: np.array([1.0, -3.0])[:, None] * rng.standard_normal(4),
    "one direction": lambda rng: np.array([1.0, 3.0])[:, None] * rng.standard_normal(4),
    "from zero": lambda rng: np.array([0.0, 1.0])[:, None] * rng.standard_normal(4),
}


@pytest.mark.parametrize(("pair", "on_arc"), list(product(PAIRS, (False, True))))
def test_a_walk_is_the_packages_interpolation(pair, on_arc, engine, rng):
    a, b = PAIRS[pair](rng)
    each = f"Array.from(minivae.between({a.tolist()}, {b.tolist()}, t, {str(on_arc).lower()}))"
    code = f"JSON.stringify({np.linspace(0, 1, 9).tolist()}.map((t) => {each}))"
    wanted = interpolate(a, b, 9, spherical=on_arc)
    np.testing.assert_allclose(json.loads(engine.eval(code)), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_an_ellipse_holds_its_share(share, engine, rng):
    A, m = rng.standard_normal((2, 2)), rng.standard_normal(2)
    S = A @ A.T
    q = f"{{mu: {m.tolist()}, cov: (i, j) => {S.tolist()}[i][j]}}"
    e = json.loads(engine.eval(f"JSON.stringify(minivae.ellipse({q}, 0, 1, {share}))"))
    angle = np.linspace(0, 2 * np.pi, 17)
    turn = np.array([[np.cos(e["turn"]), -np.sin(e["turn"])], [np.sin(e["turn"]), np.cos(e["turn"])]])
    points = (turn @ (np.array(e["axes"])[:, None] * [np.cos(angle), np.sin(angle)])).T
    np.testing.assert_allclose([e["x"], e["y"]], m)
    distance = np.einsum("ni,ij,nj->n", points, np.linalg.inv(S), points)  # chi-squared of two: 1 - exp(-d/2) inside
    np.testing.assert_allclose(1 - np.exp(-distance / 2), share, rtol=1e-10)


# ------------------------------------------------------------------------------------------------ what is exported


def test_sliders_reach_every_code_and_three_deviations_of_the_prior(rng):
    x = rows(rng)
    for posterior in ("diagonal", "point"):
        model = model_of(posterior, "gaussian", "tanh")
        params = with_parameters(model, rng)
        found, codes = exported(model, params, x), model.embed(params, x)
        middle, reach = np.array(found["middle"]), np.array(found["reach"])
        assert (np.abs(codes - middle) <= reach * (1 + 1e-6)).all()
        assert found["normal"] == (posterior == "diagonal")
        assert (reach >= 3).all() or posterior == "point"
        assert found["order"] == np.argsort(-model.says(params, x)).tolist()


def test_sliders_reach_codes_that_are_all_far_below_zero(rng):
    model = model_of("diagonal", "gaussian", "tanh")
    params, x = with_parameters(model, rng), rows(rng)
    dict(model.named(params))["encoder.4.bias"][:3] = -20
    lowest = -model.embed(params, x).min(axis=0)
    assert (lowest > 10).all()
    assert (np.array(exported(model, params, x)["reach"]) >= lowest).all()


def test_the_pen_draws_bits_only_where_all_pixels_are_bits(rng):
    one = two_betas(rng)[0]
    for x, binary in ((rows(rng), True), (np.float32(rng.choice([0, 0.5, 1], (9, N_X))), False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of greys
            page = explorer_page(one, Dataset("images", x, x, x, image_shape=(3, 4)))
        assert payload(page)["binary"] is binary


def test_rate_and_distortion_are_those_of_the_test_rows(rng):
    model = model_of("diagonal", "bernoulli", "relu")
    params, x = with_parameters(model, rng), rows(rng)
    found = exported(model, params, x)
    terms = model.terms(params, x, rng=rng, n_draws=400)
    assert found["rate"] == pytest.approx(terms.kl.mean(), rel=1e-5)
    spread = np.sqrt(100) * 2  # 4 draws of 100 rows, each of a few nats
    assert abs(found["distortion"] + terms.log_lik.mean()) < 5 * spread / np.sqrt(4 * 100)


def test_beta_is_what_the_loss_had():
    assert beta_of(Elbo(beta=Warmup(3, final=2.0))) == 2
    assert beta_of(KSampleBound("iwae")) is None
    assert Trained(VAE.mlp(4, 2), np.empty(0)).beta == 1
    assert Trained(Autoencoder.mlp(4, 2), np.empty(0)).beta is None


# ---------------------------------------------------------------------------------------------------- the page


@pytest.fixture
def images(rng):
    """Return images of 3 x 4 pixels with three labels."""
    x, y = rows(rng, 40), np.arange(40) % 3
    return Dataset("images", x, x, x, y, y, y, image_shape=(3, 4))


def payload(page):
    return json.loads(re.search(r'<script type="application/json" id="payload">(.*?)</script>', page, re.DOTALL)[1])


class Page:
    """A page of the explorer whose scripts run beside a page that is faked."""

    def __init__(self, html):
        self.js = MiniRacer()
        self.js.eval((Path(__file__).parent / "fake_page.js").read_text())
        self.js.eval(f"document.getElementById('payload').textContent = {json.dumps(json.dumps(payload(html)))}")
        for name in ("network.js", "pictures.js", "page.js"):
            self.js.eval(source(name))
        self.js.eval("paint()")

    def get(self, code):
        return json.loads(self.js.eval(f"JSON.stringify({code})"))

    def happen(self, name, kind, **event):
        self.js.eval(f"happen('{name}', '{kind}', {json.dumps(event)})")

    @property
    def z(self):
        return np.array(self.get("codes()"))

    def greys(self, name):
        return np.array(self.get(f"elements['{name}'].pixels"))


def two_betas(rng):
    model = model_of("diagonal", "bernoulli", "relu", n_latent=2)
    return [Trained(model, with_parameters(model, rng), Elbo(beta=beta)) for beta in (4.0, 0.5)]


def greys(values):
    return np.round(255 * (1 - values))


def test_the_page_asks_nothing_of_the_network_and_cannot_be_broken_out_of(images, rng):
    title = "</title></script><script>alert('@payload@')</script>"
    page = explorer_page(two_betas(rng)[0], images, title=title)
    assert page.count("<script") == page.count("</script>") == 2
    assert "default-src 'none'" in page
    rest = re.sub(r'(?<=id="payload">).*?(?=</script>)', "", page, flags=re.DOTALL)
    assert not re.search(r"https?:|//\w|\burl\(|\bimport\b|fetch\(|XMLHttp|\bsrc=|href=", rest)
    assert not re.search(r"@\w+@", rest.replace("@payload@", ""))


def test_a_name_that_closes_a_script_stays_a_name(images, rng):
    name = "</script><b>&"
    page = explorer_page(two_betas(rng)[0], Dataset(name, *[images.x_test] * 3, image_shape=(3, 4)))
    assert name not in page
    assert name in payload(page)["about"]


def test_the_point_moves_and_the_decoder_answers(images, rng):
    one = two_betas(rng)[0]
    page, held = Page(explorer_page(one, images)), payload(explorer_page(one, images))["models"][0]
    start, reach = page.z, np.array(held["reach"])
    first = np.unique(images.y_test, return_index=True)[1][0]
    np.testing.assert_allclose(start, one.model.embed(one.params, images.x_test[[first]])[0], atol=1e-5)
    page.happen("plane", "keydown", key="ArrowRight")
    page.happen("plane", "keydown", key="ArrowDown", shiftKey=True)
    np.testing.assert_allclose(page.z, np.clip(start + [0.02, -0.2] * reach, -reach, reach), atol=1e-6)
    decoded = one.model.decode(one.params, page.z[None].astype(np.float32))
    assert np.abs(page.greys("decoded") - greys(decoded)).max() <= 1
    page.happen("plane", "pointerdown", clientX=0, clientY=0)
    np.testing.assert_allclose(page.z, [-reach[0], reach[1]])  # the corner, up and to the left
    page.happen("plane", "pointermove", clientX=225, clientY=127.5)
    np.testing.assert_allclose(page.z, [reach[0] / 2, 0], atol=1e-12)
    page.happen("plane", "keydown", key="Home")
    np.testing.assert_array_equal(page.z, 0)
    page.js.eval("announced()")
    assert page.get("elements.said.textContent").startswith("z: latent")
    before = [page.z]
    for _ in range(2):
        page.happen("draw", "click")
        before.append(page.z)
    draws = np.frombuffer(base64.b64decode(held["draws"]), "<f4").reshape(-1, 2)
    np.testing.assert_allclose(before[1:], draws[:2], rtol=1e-6)


def test_what_is_drawn_is_encoded(images, rng):
    one = two_betas(rng)[0]
    page = Page(explorer_page(one, images))
    page.happen("clear", "click")
    x = np.zeros((1, N_X), np.float32)
    for keys in (["ArrowRight"], ["ArrowDown"], [" "], ["ArrowRight", True], ["ArrowLeft"], ["Backspace"]):
        page.happen("drawing", "keydown", key=keys[0], shiftKey=len(keys) > 1)
    x[0, 4 + 2] = 1  # row 2, column 3: what stands at column 2 was taken away again
    page.js.eval("document.activeElement = null")
    page.happen("clear", "pointerup")
    np.testing.assert_allclose(page.z, one.model.embed(one.params, x)[0], atol=1e-5)
    assert np.abs(page.greys("rebuilt") - greys(one.model.reconstruct(one.params, x))).max() <= 1
    kl = one.model.terms(one.params, x, rng=rng).kl[0]
    assert f"= {kl:.2f} nats" in page.get("elements['posterior-text'].textContent")
    page.happen("clear", "click")
    page.happen("drawing", "pointerdown", clientX=150 - 37, clientY=10)  # a canvas of 300 x 255 for 4 x 3 pixels
    x = np.zeros((1, N_X), np.float32)
    x[0, 1] = 1
    np.testing.assert_allclose(page.z, one.model.embed(one.params, x)[0], atol=1e-5)


def test_a_walk_leads_from_a_to_b(images, rng):
    one = two_betas(rng)[0]
    page = Page(explorer_page(one, images))
    ends = []
    for which, key in (("set-a", "ArrowRight"), ("set-b", "ArrowUp")):
        page.happen("plane", "keydown", key=key, shiftKey=True)
        page.happen(which, "click")
        ends.append(page.z)
    for share in (0, 0.25, 1):
        page.js.eval(f"elements.step.value = {share}")
        page.happen("step", "input")
        np.testing.assert_allclose(page.z, (1 - share) * ends[0] + share * ends[1], atol=1e-6)
    wanted = one.model.decode(one.params, interpolate(*ends, 9).astype(np.float32))
    assert np.abs(page.greys("strip") - greys(wanted)).max() <= 1
    page.happen("play", "click")
    np.testing.assert_allclose(page.z, ends[1], atol=1e-6)  # at its end
    assert page.get("elements.play.attributes['aria-pressed']") == "false"


def test_beta_leads_along_the_models_and_starts_at_the_first_given(images, rng):
    several = two_betas(rng)
    html = explorer_page(several, images)
    assert [model["beta"] for model in payload(html)["models"]] == [0.5, 4]
    page = Page(html)
    x = images.x_test[np.unique(images.y_test, return_index=True)[1][:1]]
    np.testing.assert_allclose(page.z, several[0].model.embed(several[0].params, x)[0], atol=1e-5)
    assert page.get("elements['beta-now'].textContent") == "β = 4"
    page.js.eval("elements.beta.value = 0")
    page.happen("beta", "input")
    np.testing.assert_allclose(page.z, several[1].model.embed(several[1].params, x)[0], atol=1e-5)
    assert page.get("elements.beta.attributes['aria-valuetext']") == "β = 0.5"
    assert page.get("elements.betas.hidden") is False


def test_images_on_the_plane_are_decoded_where_they_stand(images, rng):
    one = two_betas(rng)[0]
    html = explorer_page(one, images)
    reach = np.array(payload(html)["models"][0]["reach"])
    page = Page(html)
    page.js.eval("document.createElement = () => (elements.small = element('small')); elements.grid.checked = true")
    page.happen("grid", "change")
    centres = (np.arange(13) + 0.5) / 13 * 2 - 1
    z = np.stack(np.meshgrid(centres, centres[::-1]), axis=-1).reshape(-1, 2) * reach
    assert np.abs(page.greys("small") - greys(one.model.decode(one.params, z.astype(np.float32)))).max() <= 1


def test_rows_that_are_no_images_are_bars(rng):
    x = rng.standard_normal((30, N_X)).astype(np.float32)
    model = model_of("point", "gaussian", "tanh", n_latent=1)
    one = Trained(model, with_parameters(model, rng))
    html = explorer_page(one, Dataset("table", x, x, x))
    page, held = Page(html), payload(html)["models"][0]
    slider = page.get("(({min, max}) => [min, max])(elements.sliders.children[0].children[1])")
    np.testing.assert_allclose(slider, held["middle"][0] + held["reach"][0] * np.array([-1, 1]))
    assert held["middle"][0] != 0
    low, high = float(x.min()), float(x.max())
    page.happen("drawing", "pointerdown", clientX=1.5 * 300 / 12, clientY=0)  # the second of 12 bars, to the top
    seen = x[:1].copy()
    seen[0, 1] = high
    np.testing.assert_allclose(page.z, one.model.embed(one.params, seen)[0], atol=1e-5)
    page.happen("drawing", "keydown", key="ArrowRight")
    page.happen("drawing", "keydown", key="ArrowUp")
    seen[0, 2] = min(seen[0, 2] + (high - low) / 50, high)
    np.testing.assert_allclose(page.z, one.model.embed(one.params, seen)[0], atol=1e-5)
    assert page.get("elements['plane-figure'].hidden") is True  # one latent: a slider, no plane
    assert page.get("elements['draw'].hidden") is True  # a point has no prior


def test_the_digits_fit_a_page(rng):
    digits = datasets.load("digits-threshold")
    model = VAE.mlp(64, 2, [32])
    page = explorer_page(Trained(model, model.init(rng, np.float32)), digits)
    held = payload(page)
    assert held["example_labels"] == list(range(10))
    assert held["binary"]
    assert held["shades"] == {"low": 0, "high": 1, "dark": True}
    parameters = sum(net.n_params for net in (model.encoder, model.decoder))
    assert len(page) < 16 / 3 * parameters + 60_000


# ------------------------------------------------------------------------------------------------------ refusals


class Odd(Bernoulli):
    """A likelihood of one's own."""


ENCODER, DECODER = VAE.mlp(4, 2, [3]).encoder, VAE.mlp(4, 2, [3]).decoder
REFUSED = {
    "bits": (lambda: VAE.mlp(4, 2, posterior="bits"), "posterior must be one that the page can draw, Diag.*got Bits"),
    "a flow": (lambda: VAE.mlp(4, 2, posterior="planar"), "posterior must be one that .* got PlanarFlow"),
    "a belief network": (lambda: belief_network(n_x=4, n_latent=2), "posterior must be one that .* got BeliefBits"),
    "a strange layer": (
        lambda: VAE(ENCODER, VAE.mlp(4, 2).posterior, Sequential([Front(2, 1), Dense(1, 4)]), Bernoulli()),
        "decoder must be made of layers that the page can run, Dense.*; got Front",
    ),
    "a strange likelihood": (
        lambda: VAE(ENCODER, VAE.mlp(4, 2).posterior, DECODER, Odd()),
        "likelihood must be one whose mean the page knows, Bernoulli.*; got Odd",
    ),
    "no model": (lambda: 3, "model must be a VAE or an Autoencoder, got 3"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_page_cannot_run_is_refused_in_words(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        description(make())


def test_weights_that_float32_does_not_hold_are_refused(rng):
    model = VAE.mlp(4, 2, [3])
    params = model.init(rng)
    params[0] = 1e39
    with pytest.raises(ValueError, match="params must hold in float32, .* got up to 1e"):
        exported(model, params, np.eye(4))


def test_models_that_do_not_go_together_are_refused(images, rng):
    one, other = two_betas(rng)
    wide = VAE.mlp(N_X, 3, [4])
    strange = Trained(wide, wide.init(rng))
    with pytest.raises(ValueError, match=r"as many columns and latents as the first, \(12, 2\), got \(12, 3\)"):
        explorer_page([one, strange], images)
    with pytest.raises(ValueError, match="each with a beta of its own, got beta 4, 4"):
        explorer_page([one, one], images)
    iwae = Trained(other.model, other.params, KSampleBound("iwae"))
    with pytest.raises(ValueError, match="each with a beta of its own, got beta 4, none"):
        explorer_page([one, iwae], images)
    for nothing in ([], 3, [3], None):
        with pytest.raises(ValueError, match="trained must be a Trained or a list of them, got"):
            explorer_page(nothing, images)


def test_the_package_carries_the_pages_parts():
    told = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]
    kinds = {pattern.removeprefix("*") for pattern in told["minivae.studies.explorer"]}
    assert {Path(file.name).suffix for file in HERE.iterdir() if file.is_file()} - {".py"} == kinds
