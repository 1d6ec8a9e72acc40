"""Whether adding an attribute's direction to codes adds the attribute to images: counted by a detector."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.models.base import Model
from minivae.models.generation import attribute_direction, has_real_codes, with_attribute

Detector = Callable[[Array], np.ndarray]


def nearer_to_second(first: Array, second: Array) -> Detector:
    """Return a detector that says of each image whether it is nearer to the mean of the second group than of the first.

    Parameters
    ----------
    first, second : arrays of shape (n, D) and (m, D)
        Images without the attribute, and with it.

    Examples
    --------
    >>> nearer_to_second(np.zeros((1, 2)), np.ones((1, 2)))(np.array([[0.4, 0.4], [0.9, 0.2]]))
    array([False,  True])
    """
    first = checks.data(first, name="first")
    second = checks.data(second, first.shape[1], name="second")
    means = np.stack([group.mean(axis=0, dtype=np.float64) for group in (first, second)])

    def detect(x: Array) -> np.ndarray:
        x = checks.data(x, means.shape[1])
        near = np.sum((x[:, None] - means) ** 2, axis=2)  # (n, 2)
        return np.asarray(near[:, 1] < near[:, 0])

    return detect


def measure_attribute(
    model: Model,
    params: Array,
    train: tuple[Array, np.ndarray],
    test: tuple[Array, np.ndarray],
    detect: Detector,
    strength: float = 1.0,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Count in how many images the detector finds the attribute, before and after arithmetic on their codes.

    The direction is that of the training rows' codes; the images are decoded test rows. A random direction of the same
    length says what any step of that size would do.

    Parameters
    ----------
    model, params
        A model with real codes, and its flat parameters.
    train, test : (array of shape (n, D), array of bool of shape (n,))
        Rows, and which have the attribute; each with some of both kinds.
    detect : callable
        From images, shape (n, D), to bool, shape (n,).
    strength : float
        How much of the direction is added, or taken away.
    seed : int
        Of the random direction.

    Returns
    -------
    list of dict
        images (what was looked at), n, found (in how many the detector sees the attribute).
    """
    has_real_codes(model)
    checks.function(detect, "detect")
    (x_train, has_train), (x, has) = _rows(train, "train"), _rows(test, "test")
    direction = attribute_direction(model.embed(params, x_train), has_train)
    other = stream(seed, Stream.ATTRIBUTE).standard_normal(direction.shape)
    other *= np.linalg.norm(direction) / np.linalg.norm(other)

    def row(images: str, found: Array) -> dict[str, Any]:
        seen = np.asarray(detect(found))
        if seen.shape != (len(found),) or seen.dtype != np.bool_:
            raise ValueError(
                f"detect must give an array of bool of shape ({len(found)},), got {checks.shown(seen)}. One an image."
            )
        return {"images": images, "n": len(found), "found": int(seen.sum())}

    def moved(x: Array, direction: Array, strength: float) -> Array:
        return with_attribute(model, params, x, direction, strength)

    without, those_with = x[~has], x[has]
    return [
        row("originals without it", without),
        row("their reconstructions", model.reconstruct(params, without)),
        row("its direction added", moved(without, direction, strength)),
        row("a random direction added", moved(without, other, strength)),
        row("originals with it", those_with),
        row("their reconstructions", model.reconstruct(params, those_with)),
        row("its direction taken away", moved(those_with, direction, -strength)),
    ]


def _rows(part: Any, name: str) -> tuple[Array, np.ndarray]:
    """Return rows and which of them have the attribute."""
    if not isinstance(part, tuple) or len(part) != 2:
        raise ValueError(f"{name} must be rows and which have the attribute, got {checks.shown(part)}. Give (x, has).")
    x, has = checks.data(part[0], name=name), checks.array(part[1], name)
    if has.dtype != np.bool_ or has.shape != x.shape[:1] or has.all() or not has.any():
        raise ValueError(
            f"{name} must say by {len(x)} True or False which rows have the attribute, some of each, got "
            f"{checks.shown(has)}. Use labels == 1, say."
        )
    return x, has
