"""The gradient check of a file of your own: what is found in it by its methods gets the same rows as ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.errors import FileError
from minivae.core.registry import Table
from minivae.distributions.families import POSTERIORS
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.nn.activations import ACTIVATIONS
from minivae.studies.gradient_rows import GradientRow
from minivae.studies.gradients_find import KINDS, Found, classes, is_stub, of_class, things
from minivae.studies.gradients_posteriors import check_kl
from minivae.studies.own_module import imported_names, running

_TABLES: dict[str, Table[Any]] = {"layer": ACTIVATIONS, "likelihood": LIKELIHOODS, "posterior": POSTERIORS}


def check_file(path: str | Path, seed: int = 0) -> list[GradientRow]:
    """Check the gradients of the layers, likelihoods, posteriors, priors, penalties and costs in a file.

    The file is run. Checked is what it enters into a table such as ``ACTIVATIONS``, what it constructs at its top level
    (also within a list), and each class beside these that can be constructed without arguments, or with numbers as
    arguments. What is found but cannot be constructed has a row that says so, whose ``ok`` is None.

    Parameters
    ----------
    path : path of a .py file
    seed : int
        Of the random inputs.

    Raises
    ------
    FileError
        If the file cannot be run, or holds none of these.
    """
    rng, rows = np.random.default_rng(seed), []
    known = {kind: set(table) for kind, table in _TABLES.items()}
    with running(Path(path)) as (module, tree):
        new = [
            (kind, name, table[name]) for kind, table in _TABLES.items() for name in table if name not in known[kind]
        ]
        found = things(module, imported_names(tree), new)
        for one in found:
            rows += one.rows(rng)
        own = classes(module)
        for cls in own:
            if not any(type(one.thing) is cls for one in found):
                one = of_class(cls)
                its = one.rows(rng)
                if not is_stub(cls, own, its):
                    found.append(one)
                    rows += its
        rows += _kls(found, rng)
    if not rows:
        raise FileError(_nothing(Path(path)))
    return rows


def _kls(found: list[Found], rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the closed KLs of the file's priors from its posteriors and from ours; that of the own prior is done."""
    posteriors = [one.thing for one in found if one.kind == "posterior"]
    for prior in (one.thing for one in found if one.kind == "prior"):
        ours = [make(prior.n_latent) for make in POSTERIORS.values()] if hasattr(prior, "n_latent") else []
        others = [q for q in ours if all(type(q) is not type(own) for own in posteriors)]
        for posterior in [*posteriors, *others]:
            if type(posterior.prior()) is not type(prior):
                yield from check_kl(posterior, prior, rng)


def _nothing(path: Path) -> str:
    kinds = [f"a {name} has {', '.join(kind.has[:-1])} and {kind.has[-1]}" for name, kind in KINDS.items()]
    return (
        f"file must hold a layer, likelihood, posterior, prior, penalty or cost, got {path}, in which none is found. "
        f"They are told by their methods: {'; '.join(kinds)}. Define such a class."
    )
