"""What is wrong in a file of one's own is named with its fault: which part, by what factor, in which line."""

from functools import partial

import pytest

from tests.studies.own_files import AFFINE, COST, OWN, PENALTY, POISSON, ROWS, SOFTSIGN, check_text, found, message


@pytest.fixture
def check(tmp_path):
    """Return a function that writes a file, with some of the text replaced, and checks it."""
    return partial(check_text, tmp_path)


HALF = "np.where(cache > 0, 1, 0.5) * (1 - np.abs(cache))"
WRONG = {
    "twice": (SOFTSIGN, "return (1", "return 2 * (1", "dx is 2 times the right one, in every entry"),
    "a thousandth": (SOFTSIGN, "return (1", "return 1.001 * (1", "dx is 1.001 times the right one, in every entry"),
    "sign": (SOFTSIGN, "return (1", "return -(1", "dx is -1 times the right one, in every entry (the sign)"),
    "zero": (SOFTSIGN, "return (1", "return 0 * (1", "dx is zero, and should not be"),
    "power": (SOFTSIGN, "** 2 * dy", "* dy", "dx is wrong in 12 of 12 entries: entry ["),
    "one side": (SOFTSIGN, "(1 - np.abs(cache))", HALF, "dx is 1/2 times the right one in "),
    "no db": (AFFINE, "db[:] = dy.sum(axis=0)", "pass", "Affine.backward never writes the gradient of bias"),
    "adds db": (AFFINE, "db[:] =", "db +=", "adds to the gradient of bias, and must overwrite it"),
    "mean db": (
        AFFINE,
        "dy.sum",
        "dy.mean",
        "the gradient of bias is 1/3 times the right one, in every entry (a mean over",
    ),
    "sign of dW": (AFFINE, "= cache.T", "= -cache.T", "the gradient of weight is -1 times the right one"),
    "grads=None": (
        AFFINE,
        "if need_dx else",
        "if len(grads) else",
        "Affine.backward stopped in line 26 of mine.py with T",
    ),
    "need_dx": (
        AFFINE,
        "cache.T @ dy",
        "cache.T @ dy * need_dx",
        "with need_dx=False writes another gradient than without",
    ),
    "dx alone": (AFFINE, "dy @ W.T", "dy @ W.T * (grads is not None)", "with grads=None returns another dx"),
    "n_params": (AFFINE, "self.n_params =", "self.n =", "Affine has no n_params. Derive from minivae.core.boxes"),
    "short init": (AFFINE, "(self.n_params)", "(2)", "Affine.init(rng, dtype) must be a float array of shape (24,)"),
    "sign of dout": (
        POISSON,
        "(x - np.exp(out))",
        "(np.exp(out) - x)",
        "dout is -1 times the right one, in every entry",
    ),
    "unweighted": (POISSON, "* dlog_prob[:, None]", "", "dout is wrong in 24 of 24 entries"),
    "log_prob": (POISSON, "out, x)[0]", "out, x)[0] + 1", "Poisson.log_prob gives other numbers than Poisson.forward"),
    "refuses all": (POISSON, "(x < 0).any()", "True", "refuses every kind of data that was tried; grey x: x must hold"),
    "NaN": (POISSON, "* out -", "* np.log(out) -", "Poisson.check accepts data of which Poisson.forward gives "),
    "slope": (PENALTY, "2 * self.weight", "self.weight", "slope is 1/2 times the right one"),
    "dz": (PENALTY, "2 * cache", "cache", "dz is 1/2 times the right one, in every entry"),
    "no pair": (PENALTY, "cache * dstatistics, None", "cache * dstatistics", "must return dz and the rest, or None"),
    "gradient": (COST, "4 * z", "2 * z", "df/dz is 1/2 times the right one, in every entry"),
    "axis": (
        COST,
        "axis=1)",
        "axis=0)",
        "Ring.value(z) must be a float array of shape (5,), got float64 of shape (2,)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named_with_its_fault(check, wrong):
    text, old, new, said = WRONG[wrong]
    assert said in message(check(text, (old, new)), ROWS[text])


def test_a_method_that_does_not_take_what_it_is_given_is_named(check):
    said = message(check(AFFINE, (", need_dx=True", ""), (" if need_dx else None", "")), ROWS[AFFINE])
    assert said.startswith(
        "Affine.backward does not take the arguments of the protocol: Affine.backward() got an unexpected"
    )


def test_data_of_the_first_kind_that_a_likelihood_accepts_are_taken(check):
    assert found(check(POISSON, ("raise ValueError", "pass  #"))) == {"likelihood Poisson": True}  # real numbers
    rows = check(POISSON, ("(x < 0).any() or (x != np.round(x)).any()", "(x < 0).any() or (x > 1).any()"))
    assert found(rows) == {"likelihood Poisson": True, "likelihood Poisson, grey x": True}
    rows = check(POISSON, ("(x < 0).any() or (x != np.round(x)).any()", "(x.sum(axis=1) != 1).any() or x.max() != 1"))
    assert found(rows) == {"likelihood Poisson": True}
    said = message(check(POISSON, ("raise ValueError", "raise KeyError")), "likelihood Poisson")
    assert said.startswith("Poisson.check stopped in line ")


OWN_WRONG = {
    "draw, dhead": ("return dz.sum(axis=0)", "return dz.mean(axis=0)", "draw", "dhead is 1/5 times the right one"),
    "draw, own": ("0.5 * np.sum(dz *", "np.sum(dz *", "draw", "the gradient of log_var is 2 times the right one"),
    "score": ("d * eps / sigma", "d * eps * sigma", "log q at fixed z", "dhead is wrong in"),
    "score, own": ("(eps**2 - 1)", "eps**2", "log q at fixed z", "the gradient of log_var is wrong in 2 of 2 entries"),
    "score, own not written": ("grads[:] = 0.5 * np.sum(d", "_ = np.sum(d", "log q at fixed z", "never writes"),
    "density": ("log_normal(z, head, params)", "log_normal(z, head, 2 * params)", "log q at fixed z", "dhead is wrong"),
}


@pytest.mark.parametrize("wrong", OWN_WRONG)
def test_a_wrong_posterior_is_named_with_its_fault(check, wrong):
    old, new, part, said = OWN_WRONG[wrong]
    rows = check(OWN, (old, new))
    assert said in message(rows, f"posterior SharedScale(n_latent=2), {part}")
    assert found(rows)["prior LearnedNormal(n_latent=2)"]


def test_a_wrong_prior_and_a_wrong_kl_are_named_with_their_fault(check):
    prior, kl = "prior LearnedNormal(n_latent=2)", "KL of DiagonalGaussian from LearnedNormal"
    assert "dz is -1 times the right one" in message(check(OWN, ("return -d * u", "return d * u")), prior)
    assert "the gradient of log_var is 2 times" in message(check(OWN, ("0.5 * np.sum(d * (u", "np.sum(d * (u")), prior)
    assert "the gradient of mean is -1 times" in message(check(OWN, ("= -dmu.sum", "= dmu.sum")), kl)
    assert "dhead is wrong in 6 of 12 entries" in message(check(OWN, ("- v) - 1)])", "- v))])")), kl)
    assert "per_latent of the KL sums to" in message(check(OWN, (".sum(axis=1)", ".sum(axis=1) + 1")), kl)


def test_samples_and_densities_that_disagree_are_named(check):
    rows = check(OWN, ("return z, self.log_prob(params, head, z),", "return z, self.log_prob(params, head, z) + 1,"))
    said = message(rows, "posterior SharedScale(n_latent=2), log q at fixed z")
    assert "SharedScale.sample and SharedScale.log_prob must agree on log q(z|x) of the same z" in said


def test_states_are_checked_and_must_be_all_of_them(check):
    text = """
    from minivae.distributions.bits import Bits
    import numpy as np

    class Mine(Bits):
        def states(self, params, head):
            return super().states(params, head)
    """
    rows = check(text)
    assert found(rows)["posterior Mine(n_latent=2), all states"]
    rows = check(
        text,
        ("return super().states(params, head)", "z, log_q, c = super().states(params, head); return z, log_q + 1, c"),
    )
    assert "sum to 2.71828, and not to 1" in message(rows, "posterior Mine(n_latent=2), all states")


def test_a_prior_of_whole_numbers_has_nothing_to_check_and_says_so(check):
    rows = check("from minivae.distributions.priors import FairBits\nclass Coins(FairBits):\n    pass\n")
    assert found(rows) == {"prior Coins(n_latent=2)": None}
    assert "there is no gradient" in rows[0].message


def test_exceptions_nan_and_broken_promises_are_failed_rows_in_words(check):
    name = "layer Softsign"
    said = message(check(SOFTSIGN, ("return (1", "dy = dy @ dy; return (1")), name)
    assert said.startswith("Softsign.backward stopped in line 11 of mine.py with ValueError: matmul: ")
    said = message(check(SOFTSIGN, ("x / (1 + np.abs(x))", "np.sqrt(x)")), name)
    assert said.startswith("Softsign.forward, with x drawn from N(0, 1), gives ")
    assert said.endswith(" NaN or infinite values of 12")
    assert " NaN or infinite values in 12 entries" in message(
        check(SOFTSIGN, ("return (1 -", "return np.log(cache) * (1 -")), name
    )
    said = message(
        check(
            SOFTSIGN,
            ("def _forward(self, x):", "def forward(self, params, x):\n        return x\n    def _f(self, x):"),
        ),
        name,
    )
    assert said == "Softsign.forward must return y and the cache: it must be a tuple of 2, got ndarray"
    said = message(check(SOFTSIGN, ("return (1 -", "return np.sum(dy) * (1 -"), ("** 2 * dy", "** 2 * dy.sum()")), name)
    assert said.startswith("dx is wrong in")
    said = message(check(SOFTSIGN, ("y = x /", "x *= 1.5; y = x /")), name)
    assert said == "Softsign.forward changes x in place, which is the caller's. Work on a copy."
    said = message(
        check(SOFTSIGN, ("    def _backward(self, cache, dy):\n        return (1 - np.abs(cache)) ** 2 * dy", "")), name
    )
    assert said == "Softsign.backward stopped with NotImplementedError: write _backward"
    said = message(check(SOFTSIGN, ("return y, y", "return y.sum(axis=1), y")), name)
    assert said == "the y of Softsign.forward must be a float array of shape (3, 4), got float64 of shape (3,)"
    said = message(check(SOFTSIGN, ("** 2 * dy", "** 2 @ dy.T")), name)
    assert said == "the dx of Softsign.backward must be a float array of shape (3, 4), got float64 of shape (3, 3)"


def test_the_line_that_is_named_is_the_persons_own(check):
    said = message(check(SOFTSIGN, ("return (1", "np.linalg.inv(0 * dy[:2, :2]); return (1")), "layer Softsign")
    assert said == "Softsign.backward stopped in line 11 of mine.py with LinAlgError: Singular matrix"
    rows = check(
        "class Picky:\n    def __init__(self, n_in, /):\n        pass\n    def forward(self, params, x): ...\n"
    )
    assert rows[0].message.startswith(
        "constructing it stopped with TypeError: Picky.__init__() got some positional-only"
    )


def test_a_matrix_must_be_the_layers_own_and_right(check):
    more = "    def matrix(self, params):\n        return params[: -self.n_out].reshape(self.n_in, self.n_out)\n"
    title = f"{ROWS[AFFINE]}, matrix"
    assert found(check(AFFINE + more)) == {ROWS[AFFINE]: True, title: True}
    said = message(check(AFFINE + more.replace("params[: -self.n_out]", "params[self.n_out :]")), title)
    assert said.startswith("matrix is wrong in 15 of 15 entries")
    said = message(check(AFFINE + more.replace("self.n_out)\n", "self.n_out).copy()\n")), title)
    assert said == "Affine.matrix(params) must be a view of params, got a copy"


def test_a_layer_that_is_not_analytic_though_it_says_so_is_told_so(check):
    line = "class Softsign(Activation):\n"
    said = message(check(SOFTSIGN, (line, line + "    analytic = True\n")), "layer Softsign")
    assert said == (
        "Softsign says analytic = True, but its forward gives another slope for complex numbers than for real ones. "
        "Leave analytic out."
    )
    wrong = SOFTSIGN.replace("return (1", "return 2 * (1")
    said = message(check(wrong, (line, line + "    analytic = True\n")), "layer Softsign")
    assert said == "dx is 2 times the right one, in every entry"
    real = SOFTSIGN.replace("y = x /", "x = np.real(x); y = x /")
    said = message(check(real, (line, line + "    analytic = True\n")), "layer Softsign")
    assert "but its forward does not take complex numbers (value must return a complex number" in said
