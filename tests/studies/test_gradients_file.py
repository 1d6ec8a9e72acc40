"""A file of one's own: what is right passes, what is wrong is named with its fault, what cannot run says what to do."""

from pathlib import Path
from textwrap import dedent, indent

import pytest

from minivae.core.errors import FileError
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.nn.activations import ACTIVATIONS
from minivae.studies.gradients_file import check_file

OWN = (Path(__file__).parent / "boxes_of_ones_own.py").read_text()

SOFTSIGN = """
import numpy as np
from minivae.nn import Activation

class Softsign(Activation):
    def _forward(self, x):
        y = x / (1 + np.abs(x))
        return y, y

    def _backward(self, cache, dy):
        return (1 - np.abs(cache)) ** 2 * dy
"""

AFFINE = """
import numpy as np

class Affine:
    def __init__(self, n_in, n_out):
        self.n_in, self.n_out = n_in, n_out
        self.n_params = (n_in + 1) * n_out

    def init(self, rng, dtype=np.float64):
        return rng.standard_normal(self.n_params).astype(dtype)

    def named(self, params):
        yield "weight", params[: -self.n_out].reshape(self.n_in, self.n_out)
        yield "bias", params[-self.n_out :]

    def forward(self, params, x):
        W, b = (view for _, view in self.named(params))
        return x @ W + b, x

    def backward(self, params, cache, dy, grads, need_dx=True):
        W, b = (view for _, view in self.named(params))
        if grads is not None:
            dW, db = (view for _, view in self.named(grads))
            dW[:] = cache.T @ dy
            db[:] = dy.sum(axis=0)
        return dy @ W.T if need_dx else None
"""

POISSON = """
import math
import numpy as np
from minivae.core.boxes import NoParameters

class Poisson(NoParameters):
    def n_out(self, n_x):
        return n_x

    def check(self, x):
        if (x < 0).any() or (x != np.round(x)).any():
            raise ValueError("x must hold counts")

    def forward(self, params, out, x):
        x = np.tile(x, (len(out) // len(x), 1))
        return np.sum(x * out - np.exp(out) - np.vectorize(math.lgamma)(x + 1), axis=1), (x, out)

    def log_prob(self, params, out, x):
        return self.forward(params, out, x)[0]

    def backward(self, params, cache, dlog_prob, grads):
        x, out = cache
        return (x - np.exp(out)) * dlog_prob[:, None]

    def mean(self, params, out):
        return np.exp(out)
"""

PENALTY = """
import numpy as np

class Energy:
    weight = 0.3
    last_layer = None

    def check(self, encoder):
        pass

    def forward(self, encoder, params, z, caches):
        return z**2, z

    def value(self, mean):
        return float(self.weight * np.sum(mean**2))

    def slope(self, mean):
        return 2 * self.weight * mean

    def backward(self, encoder, params, caches, cache, dstatistics):
        return 2 * cache * dstatistics, None
"""

COST = """
import numpy as np

class Ring:
    def value(self, z):
        return (np.sum(z**2, axis=1) - 1) ** 2

    def gradient(self, z):
        return 4 * z * (np.sum(z**2, axis=1, keepdims=True) - 1)
"""


@pytest.fixture
def check(tmp_path):
    """Return a function that writes a file and checks it."""

    def write_and_check(text, *replacements, name="mine.py"):
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        (tmp_path / name).write_text(dedent(text))
        return check_file(tmp_path / name)

    return write_and_check


def found(rows):
    return {row.name: row.ok for row in rows}


def message(rows, name):
    row = next(row for row in rows if row.name == name)
    assert row.ok is False
    return row.message


# ------------------------------------------------------------------------------------------- what is right


def test_what_is_right_passes_with_the_rows_that_ours_have(check):
    assert found(check(SOFTSIGN)) == {"layer Softsign": True, "layer Softsign, slope": True}
    assert found(check(AFFINE)) == {"layer Affine(n_in=5, n_out=4)": True}
    assert found(check(POISSON)) == {"likelihood Poisson": True}
    assert found(check(PENALTY)) == {"penalty Energy": True}
    assert found(check(COST)) == {"cost Ring": True}
    own = {f"posterior SharedScale(n_latent=2), {part}": True for part in ("draw", "log q at fixed z")}
    own |= {"prior LearnedNormal(n_latent=2)": True, "KL of DiagonalGaussian from LearnedNormal": True}
    assert found(check(OWN)) == own


def test_a_curvature_is_checked_where_there_is_one(check):
    right = SOFTSIGN + indent(
        "def curvature(self, cache):\n    return -2 * np.sign(cache) * (1 - np.abs(cache)) ** 3\n", "    "
    )
    assert found(check(right)) == {"layer Softsign": True, "layer Softsign, slope and curvature": True}
    rows = check(right, ("** 3", "** 2"))
    assert "curvature is wrong in 12 of 12 entries: entry [" in message(rows, "layer Softsign, slope and curvature")


def test_what_registers_itself_has_its_rows_once_and_the_tables_are_left_as_they_were(check):
    before = dict(ACTIVATIONS), dict(LIKELIHOODS)
    text = f"""
from dataclasses import dataclass
from minivae.core.registry import saved
from minivae.nn import ACTIVATIONS, mlp
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.distributions.families import POSTERIORS
{SOFTSIGN.replace("class Softsign", "@saved" + chr(10) + "@dataclass(frozen=True)" + chr(10) + "class Softsign")}
ACTIVATIONS.add("softsign", Softsign())
again = Softsign()
net = mlp([3, 4, 2], "softsign")
{OWN.replace("# ruff", "# no").replace(chr(34) * 3 + "A post", "r" + chr(34) * 3 + "A post")}
POSTERIORS.add("shared", SharedScale)
{POISSON}
LIKELIHOODS.add("poisson", Poisson())
"""
    for _ in range(2):  # and the second time as the first
        rows = check(text)
        names = [row.name for row in rows]
        assert sorted(set(names)) == sorted(names)
        assert all(row.ok for row in rows)
        assert {"layer Softsign", "layer Sequential (net)", "posterior SharedScale, draw", "likelihood Poisson"} <= set(
            names
        )
        assert not any("again" in name for name in names)
    assert (dict(ACTIVATIONS), dict(LIKELIHOODS)) == before


def test_instances_at_the_top_level_are_checked_under_their_names_and_imports_are_not(check):
    text = (
        AFFINE
        + "\nfrom minivae.nn import Dense, Tanh\nimport minivae.nn.dense as d\n"
        + "small = Affine(2, 1)\nmore = [Affine(1, 3), small]\n"
    )
    names = list(found(check(text)))
    assert names == ["layer Affine (small)", "layer Affine (more[0])"]
    assert list(found(check(AFFINE + "\nnamed = {'a': Affine(2, 2)}\n"))) == ["layer Affine (named['a'])"]


def test_modules_beside_the_file_can_be_imported_and_no_bytecode_is_left(check, tmp_path):
    (tmp_path / "beside_mine.py").write_text(SOFTSIGN)
    rows = check("from beside_mine import Softsign\nsteep = Softsign()\n")
    assert found(rows) == {"layer Softsign (steep)": True, "layer Softsign (steep), slope": True}
    assert not list(tmp_path.rglob("mine*.pyc"))


def test_a_file_that_was_just_changed_is_read_anew(check):
    assert check(SOFTSIGN)[0].ok
    assert not check(SOFTSIGN, ("(1 - np.abs(cache))", "(2 - np.abs(cache))"))[0].ok
    assert check(SOFTSIGN)[0].ok


def test_the_seed_changes_the_inputs(check, tmp_path):
    first = check(SOFTSIGN)[0].relative_error
    assert check_file(tmp_path / "mine.py", seed=1)[0].relative_error != first
    assert check_file(tmp_path / "mine.py", seed=0)[0].relative_error == first


# ------------------------------------------------------------------------------------------- what is wrong

ROWS = {
    SOFTSIGN: "layer Softsign",
    AFFINE: "layer Affine(n_in=5, n_out=4)",
    POISSON: "likelihood Poisson",
    PENALTY: "penalty Energy",
    COST: "cost Ring",
}
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
    assert " NaN or infinite values of 12" in message(
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


def test_a_layer_that_is_not_analytic_though_it_says_so_is_told_so(check):
    line = "class Softsign(Activation):\n"
    said = message(check(SOFTSIGN, (line, line + "    analytic = True\n")), "layer Softsign")
    assert said == (
        "Softsign says analytic = True, but its forward gives another slope for complex numbers than for real ones. "
        "Leave analytic out."
    )
    real = SOFTSIGN.replace("y = x /", "x = np.real(x); y = x /")
    said = message(check(real, (line, line + "    analytic = True\n")), "layer Softsign")
    assert "but its forward does not take complex numbers (value must return a complex number" in said


# ------------------------------------------------------------------------ what cannot be constructed or run


def test_a_class_that_needs_arguments_is_named_with_the_remedy(check):
    rows = check(
        AFFINE + SOFTSIGN,
        ("def __init__(self, n_in, n_out):", "def __init__(self, shape, n_out=1):\n        n_in = shape"),
    )
    assert found(rows) == {"layer Affine": None, "layer Softsign": True, "layer Softsign, slope": True}
    assert (
        rows[0].message == "Affine needs shape to be constructed. Construct one in the file: layer = Affine(shape=...)"
    )
    rows = check(AFFINE, ("n_in, n_out\n", "n_in, n_out / 0\n"))
    assert rows[0].ok is None
    assert rows[0].message == (
        "constructing it stopped in line 6 of mine.py with ZeroDivisionError: division by zero. "
        "Construct one in the file: layer = Affine(n_in=..., n_out=...)"
    )


def test_numbers_that_a_constructor_says_it_takes_are_given(check):
    text = AFFINE.replace(
        "def __init__(self, n_in, n_out):", "def __init__(self, wide: int, scale: float, n_out=1):\n        n_in = wide"
    )
    assert found(check(text)) == {"layer Affine(wide=3, scale=0.7)": True}
    assert found(check("from __future__ import annotations\n" + text)) == {"layer Affine(wide=3, scale=0.7)": True}


def test_what_a_class_lacks_is_named(check):
    text = (
        SOFTSIGN.replace("(Activation)", "")
        .replace("_forward(self", "forward(self, params")
        .replace("_backward(self", "backward(self, params")
    )
    rows = check(text)
    assert found(rows) == {"class Softsign": None}
    assert rows[0].message == (
        "it has forward and backward, but as a layer Softsign also needs n_in and n_out. Add what is missing"
    )
    rows = check(POISSON, ("def backward", "def back"))
    assert "as a likelihood Poisson also needs backward" in rows[0].message


def test_bases_and_protocols_are_not_checked_for_themselves(check):
    text = """
    from abc import ABC, abstractmethod
    from typing import Protocol
    import numpy as np
    from minivae.nn import Activation

    class Like(Protocol):
        n_in: int
        n_out: int
        def forward(self, params, x): ...
        def backward(self, params, cache, dy, grads, need_dx=True): ...

    class Even(Activation, ABC):
        @abstractmethod
        def power(self): ...
        def _forward(self, x):
            return x ** self.power(), x
        def _backward(self, cache, dy):
            return self.power() * cache ** (self.power() - 1) * dy

    class Stub(Activation):
        pass

    class Square(Even, Stub):
        def power(self):
            return 2
    """
    assert found(check(text)) == {"layer Square": True, "layer Square, slope": True}
    rows = check(text, ("Square(Even, Stub)", "Square(Stub)"), ("return 2", "return 3"))
    assert found(rows) == {"layer Even": None, "layer Square": False}
    assert rows[0].message == "Even is abstract. Write the methods that it leaves out"


def test_a_file_that_cannot_be_run_is_refused_with_its_line(check, tmp_path):
    with pytest.raises(FileError, match=r"mine\.py, with a syntax error in line 2, `def f\(:`: "):
        check("x = 1\ndef f(:\n")
    with pytest.raises(
        FileError, match=r"mine\.py, which stops in line 2, `y = x / 0`, with ZeroDivisionError: division"
    ):
        check("x = 1\ny = x / 0\n")
    with pytest.raises(
        FileError, match=r"stops in line 1, `import no_such_module`, with ModuleNotFoundError: No module"
    ):
        check("import no_such_module\n")
    with pytest.raises(
        FileError, match=r"stops in line 1, `raise SystemExit\(3\)`, with SystemExit: 3\. Correct it; what"
    ):
        check("raise SystemExit(3)\n")
    with pytest.raises(FileError, match=r"syntax error in line 1, `return 1`"):
        check("return 1\n")
    with pytest.raises(FileError, match=r"file must be a readable \.py file, got .*none\.py"):
        check_file(tmp_path / "none.py")
    with pytest.raises(FileError, match=r"file must be a \.py file, got .*mine\.ipynb\. Save a notebook as a script"):
        check_file(tmp_path / "mine.ipynb")
    with pytest.raises(
        FileError, match=r"a part of minivae, whose gradients `minivae gradcheck` checks without a file"
    ):
        check_file(check_file.__code__.co_filename)


def test_a_file_with_nothing_in_it_is_refused_with_what_is_looked_for(check):
    text = "import numpy as np\nfrom minivae.nn import Dense\nx = np.ones(3)\nclass Plain:\n    pass\n"
    with pytest.raises(FileError) as refused:
        check(text)
    said = str(refused.value)
    assert "in which none is found" in said
    assert "a layer has forward, backward, n_in and n_out" in said
    assert "a cost has value and gradient" in said


def test_a_wrong_file_leaves_nothing_behind(check):
    before = dict(ACTIVATIONS)
    with pytest.raises(FileError):
        check(SOFTSIGN + "\nfrom minivae.nn import ACTIVATIONS\nACTIVATIONS.add('softsign', Softsign())\n1 / 0\n")
    assert dict(ACTIVATIONS) == before
