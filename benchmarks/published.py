"""The rows in which a published result stands beside ours, as tables print them, and the start that papers share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import minivae as mv

_TITLES = ("paper", "protocol", "quantity", "published", "ours", "difference", "seconds")


@dataclass(frozen=True)
class Row:
    """One number of a paper, in nats per example, and ours by the same protocol.

    Attributes
    ----------
    paper, protocol, quantity : str
    published : float or None
        None where the paper has no number for just this.
    ours : float
    seconds : float
        Of the training until then.
    """

    paper: str
    protocol: str
    quantity: str
    published: float | None
    ours: float
    seconds: float

    def cells(self) -> tuple[str, ...]:
        """Return the row as text.

        >>> Row("A 2020", "as said", "ELBO", -100.0, -99.5, 60.0).cells()[3:]
        ('-100.00', '-99.50', '+0.50', '60')
        """
        published = "-" if self.published is None else f"{self.published:.2f}"
        difference = "-" if self.published is None else f"{self.ours - self.published:+.2f}"
        return (
            self.paper,
            self.protocol,
            self.quantity,
            published,
            f"{self.ours:.2f}",
            difference,
            f"{self.seconds:,.0f}",
        )


def table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown.

    >>> print(table([Row("A 2020", "as said", "ELBO", None, -99.5, 60.0)]))
    | paper | protocol | quantity | published | ours | difference | seconds |
    |---|---|---|---|---|---|---|
    | A 2020 | as said | ELBO | - | -99.50 | - | 60 |
    """
    lines = [_TITLES, ("---",) * len(_TITLES), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| ---", "|---").replace("--- |", "---|")


class UniformVAE(mv.VAE):
    """A VAE whose dense layers start uniform in +-1/sqrt(n_in), biases too; all else starts as minivae's does."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float64, x: Any = None) -> Any:  # noqa: ARG002
        """Return parameters; the data x are not looked at."""
        params = super().init(rng, dtype)
        parts = dict(zip(self.boxes, self.slices, strict=True))
        for net, part in ((self.encoder, parts["encoder"]), (self.decoder, parts["decoder"])):
            for layer, own in zip(net.layers, net.slices, strict=True):
                if isinstance(layer, mv.Dense):
                    params[part][own] = rng.uniform(-1, 1, layer.n_params) / np.sqrt(layer.n_in)
        return params
