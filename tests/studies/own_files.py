"""What persons might write in files of their own, and what is found in it."""

from pathlib import Path
from textwrap import dedent

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

ROWS = {
    SOFTSIGN: "layer Softsign",
    AFFINE: "layer Affine(n_in=5, n_out=4)",
    POISSON: "likelihood Poisson",
    PENALTY: "penalty Energy",
    COST: "cost Ring",
}


def check_text(folder, text, *replacements):
    """Write a file, with some of the text replaced, and check it."""
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    (folder / "mine.py").write_text(dedent(text))
    return check_file(folder / "mine.py")


def found(rows):
    return {row.name: row.ok for row in rows}


def message(rows, name):
    row = next(row for row in rows if row.name == name)
    assert row.ok is False
    return row.message
