"""One HTML file in which a person moves through a trained model: page, style, scripts and weights, and no network."""

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.datasets.dataset import Dataset
from minivae.estimators.objectives import Objective
from minivae.studies.explorer.export import Spec, beta_of, description, exported, packed
from minivae.studies.plots import Shades

_EXAMPLES = 12
_CODES = 600
_CLASSES = 10  # labels up to so many have a colour each


@dataclass(frozen=True)
class Trained:
    """A model to be explored, its parameters, and the objective that it was trained for (its own unless given)."""

    model: Any
    params: Array
    objective: Objective | None = None

    @property
    def beta(self) -> float | None:
        """The weight of the KL in its loss; None for a model without one."""
        return beta_of(self.model.objective if self.objective is None else self.objective)


def explorer_page(trained: Trained | Sequence[Trained], dataset: Dataset, x: Any = None, title: str = "minivae") -> str:
    """Return a page, as the text of an HTML file, in which a person moves through a trained model.

    A point is dragged over the plane of two latents, or sliders of the twelve most active ones, and E[x|z] follows; an
    image is drawn, and q(z|x) follows; a walk leads from one code to another; given several models, beta moves along
    them. Encoder and decoder run in the page, on the float32 weights within it. It asks nothing of the network, works
    by keyboard and by touch, and needs 5.4 bytes a parameter.

    Parameters
    ----------
    trained : Trained, or a sequence of them
        Of one data set and one number of latents, with betas that differ. The page starts at the first.
    dataset : Dataset
        Its images' shape, its labels, and its test rows unless x is given.
    x : array of shape (B, n_x), optional
        The rows behind the examples and the codes, as the model sees them: the dataset's test rows unless given.
    title : str

    Raises
    ------
    ValueError
        If a model is made of what the page cannot run, or the models do not go together.

    Examples
    --------
    >>> import minivae as mv
    >>> digits = mv.load("digits-threshold")
    >>> model = mv.VAE.mlp(n_x=64, n_latent=2, n_hidden=[8])
    >>> page = explorer_page(Trained(model, model.init(np.random.default_rng(0))), digits)
    >>> page.count("<script"), "https:" in page
    (2, False)
    """
    models = _together(trained)
    what = "a Dataset"
    checks.has(dataset, ("x_test", "image_shape", "y_test"), "dataset", what, 'mv.load("digits-threshold")')
    if not isinstance(title, str):
        raise ValueError(f"title must be text, got {checks.shown(title)}. Leave it out for the package's name.")
    x = checks.data(dataset.x_test if x is None else x, models[0].model.n_x)
    labels = dataset.y_test if dataset.y_test is not None and len(dataset.y_test) == len(x) else None
    known = labels is not None and len(np.unique(labels)) <= _CLASSES
    chosen = _examples(labels if known else None, len(x))
    shades = Shades.of(x)
    order = sorted(range(len(models)), key=lambda i: models[i].beta or 0.0)
    payload: Spec = {
        "about": _about(models[0], dataset),
        "n_x": x.shape[1],
        "image": None if dataset.image_shape is None else list(dataset.image_shape),
        "binary": bool(np.isin(x, (0, 1)).all()),
        "shades": {"low": shades.low, "high": shades.high, "dark": shades.cmap == "gray_r"},
        "labels": [int(label) for label in labels[:_CODES]] if known and labels is not None else None,
        "examples": packed(x[chosen], "x"),
        "example_labels": [None if labels is None else int(labels[i]) for i in chosen],
        "start": order.index(0),
        "models": [exported(models[i].model, models[i].params, x, _CODES) | {"beta": models[i].beta} for i in order],
    }
    return _filled(title, payload)


def _together(trained: Any) -> list[Trained]:
    """Return the models as a list, or say why one page cannot hold them."""
    models = [trained] if isinstance(trained, Trained) else list(trained) if isinstance(trained, (list, tuple)) else []
    if not models or not all(isinstance(one, Trained) for one in models):
        raise ValueError(
            f"trained must be a Trained or a list of them, got {checks.shown(trained)}. Write Trained(model, params)."
        )
    for one in models:
        description(one.model)
        checks.parameters_of(one.model, one.params)
    first, betas = models[0], [one.beta for one in models]
    for one in models[1:]:
        sizes = [(m.model.n_x, m.model.decoder.n_in) for m in (first, one)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"trained must be models of as many columns and latents as the first, {sizes[0]}, got {sizes[1]}. "
                f"Explore that one by itself."
            )
    if len(models) > 1 and (None in betas or len(set(betas)) < len(betas)):
        listed = ", ".join("none" if beta is None else f"{beta:g}" for beta in betas)
        raise ValueError(
            f"trained must be models each with a beta of its own, got beta {listed}. Leave out those that repeat one."
        )
    return models


def _examples(labels: np.ndarray | None, n: int) -> list[int]:
    """Return which rows are offered: one of each label, or some at equal steps."""
    if labels is None:
        return np.linspace(0, n - 1, min(_EXAMPLES, n)).astype(int).tolist()
    return np.unique(labels, return_index=True)[1].tolist()


def _about(trained: Trained, dataset: Dataset) -> str:
    """Say what the model is."""
    model = trained.model
    nets = [[str(model.n_x)], [str(layer.n_out) for layer in model.encoder.layers if layer.n_out is not None]]
    widths = "-".join(nets[0] + nets[1][:-1] + [str(model.decoder.n_in)])
    beta = "" if trained.beta in (None, 1.0) else f", beta {trained.beta:g}"
    kind = type(model).__name__
    posterior = f", {type(model.posterior).__name__}" if hasattr(model, "posterior") else ""
    return f"{kind} {widths}{posterior}, {type(model.likelihood).__name__}{beta}; data {dataset.name}."


def _filled(title: str, payload: Spec) -> str:
    """Return the template with its parts; the data can close no script, whatever is in them."""
    folder = files("minivae.studies.explorer")
    parts = {name: (folder / file).read_text("utf-8") for name, file in _PARTS.items()}
    data = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    parts |= {"title": html.escape(title), "payload": data}
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], (folder / "page.html").read_text("utf-8"))


_PARTS = {"css": "page.css", "network": "network.js", "pictures": "pictures.js", "page": "page.js"}
