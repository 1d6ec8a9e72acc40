"""A file of one's own: what is right passes, each thing once, and what cannot be built or run says what to do."""

import sys
from functools import partial
from textwrap import indent

import pytest

from minivae.core.errors import FileError
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.nn.activations import ACTIVATIONS
from minivae.studies.gradients_file import check_file
from tests.studies.own_files import AFFINE, COST, OWN, PENALTY, POISSON, SOFTSIGN, check_text, found, message


@pytest.fixture
def check(tmp_path):
    """Return a function that writes a file, with some of the text replaced, and checks it."""
    return partial(check_text, tmp_path)


def test_what_is_right_passes_with_the_rows_that_ours_have(check):
    assert found(check(SOFTSIGN)) == {"layer Softsign": True, "layer Softsign, slope": True}
    assert found(check(AFFINE)) == {"layer Affine(n_in=5, n_out=4)": True}
    assert found(check(POISSON)) == {"likelihood Poisson": True}
    assert found(check(PENALTY)) == {"penalty Energy": True}
    assert found(check(COST)) == {"cost Ring": True}
    own = {f"posterior SharedScale(n_latent=2), {part}": True for part in ("draw", "log q at fixed z")}
    own |= {"prior LearnedNormal(n_latent=2)": True}
    own |= {f"KL of DiagonalGaussian from LearnedNormal{part}": True for part in ("", ", each latent")}
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


def test_modules_beside_the_file_come_first_and_what_is_imported_from_them_is_not_the_files(check, tmp_path):
    (tmp_path / "this.py").write_text(SOFTSIGN + "\nready = Softsign()\n")  # there is another `this`
    rows = check("from this import Softsign, ready\nsteep = Softsign()\n")
    sys.modules.pop("this")
    assert found(rows) == {"layer Softsign (steep)": True, "layer Softsign (steep), slope": True}
    assert not list(tmp_path.rglob("mine*.pyc"))


def test_the_interpreter_is_left_as_it_was(check):
    path, modules = list(sys.path), set(sys.modules)
    check(SOFTSIGN)
    assert (sys.path, set(sys.modules)) == (path, modules)


def test_a_file_that_was_just_changed_is_read_anew(check):
    assert check(SOFTSIGN)[0].ok
    assert not check(SOFTSIGN, ("(1 - np.abs(cache))", "(2 - np.abs(cache))"))[0].ok
    assert check(SOFTSIGN)[0].ok


def test_the_seed_changes_the_inputs(check, tmp_path):
    first = check(SOFTSIGN)[0].relative_error
    assert check_file(tmp_path / "mine.py", seed=1)[0].relative_error != first
    assert check_file(tmp_path / "mine.py", seed=0)[0].relative_error == first


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
    sample = "\n    def sample(self, params, out, rng):\n        return rng.poisson(np.exp(out))\n"
    rows = check(POISSON + sample, ("def mean", "def middle"))
    assert "it has forward and backward and n_out, but as a likelihood Poisson also needs mean" in rows[0].message
    rows = check(OWN, ("def score", "def slant"))
    assert "it has sample and backward and n_head, but as a posterior SharedScale also needs score" in rows[1].message


def test_what_is_registered_without_its_methods_is_named_once(check):
    text = "\nfrom minivae.nn import ACTIVATIONS\nACTIVATIONS.add('softsign', Softsign())\n"
    rows = check(SOFTSIGN.replace("(Activation)", "").replace("_backward", "backward") + text)
    assert found(rows) == {"class Softsign": None}


def test_a_kl_from_the_posteriors_own_prior_has_one_row(check):
    text = """
class Mine(DiagonalGaussian):
    def prior(self):
        return LearnedNormal(self.n_latent)

closes(Mine, LearnedNormal)(DiagonalFromLearned)
"""
    names = [row.name for row in check(OWN + text)]
    assert names.count("KL of Mine from LearnedNormal") == 1
    assert names.count("KL of DiagonalGaussian from LearnedNormal") == 1


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
    with pytest.raises(KeyboardInterrupt):
        check("raise KeyboardInterrupt\n")
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
    text += "from minivae import VAE\nclass Mine(VAE):\n    pass\nmodel = VAE.mlp(4, 2)\n"
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
