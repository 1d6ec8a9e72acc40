"""Figures: learning curves, reconstructions, samples, the latent plane. Each function returns a Figure.

Figures are made without pyplot, so nothing here touches the display or global state; save them with
``figure.savefig(path)``.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Okabe and Ito's colours, which the colour-blind can tell apart (a violet for their pale yellow), and two more
COLORS = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"),
    *("#56B4E9", "#5D3A9B", "#000000", "#999999", "#7F5F3F"),
)


_MARKERS = "os^vDP*X<>"


_GAP = 1  # pixels between images


def figure_of(width: float, height: float) -> "Figure":
    """Return an empty figure of so many inches."""
    from matplotlib.figure import Figure  # half a second that only figures need

    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def learning_curves(history: list[dict[str, float]]) -> "Figure":
    """Draw the bound and its two parts (or the loss alone) against the epoch, in nats per example.

    Parameters
    ----------
    history : list of dict
        As ``train`` returns it.
    """
    parts = [
        ("elbo", "ELBO"),
        ("log_lik", "reconstruction log p(x|z)"),
        ("kl", "KL(q(z|x) || p(z))"),
    ]
    if "train_iwae_bound" in history[0]:
        parts = [("iwae_bound", "K-sample bound"), *parts]
    if "train_elbo" not in history[0]:
        parts = [("log_lik", "reconstruction log p(x|z)")]
        parts += [("penalty", "penalty")] if "train_penalty" in history[0] else []
    figure = figure_of(4.2 * len(parts), 3.4)
    epochs = [row["epoch"] for row in history]
    for axes, (key, title) in zip(np.ravel(figure.subplots(1, len(parts))), parts, strict=True):
        values = []
        for color, name in zip(COLORS, ("train", "valid"), strict=False):
            if f"{name}_{key}" in history[0]:
                values.append([row[f"{name}_{key}"] for row in history])
                label = "training" if name == "train" else "validation"
                axes.plot(
                    epochs,
                    values[-1],
                    color=color,
                    label=label,
                    lw=1.4,
                    marker="." if len(epochs) < 3 else None,
                )
        if len(epochs) > 20:  # the first epochs would squeeze all that follows
            tail = np.array([v[len(epochs) // 20 :] for v in values])
            tail = tail[np.isfinite(tail)] if np.isfinite(tail).any() else np.zeros(1)
            margin = 0.05 * float(np.ptp(tail)) + 1e-9
            axes.set_ylim(float(tail.min()) - margin, float(tail.max()) + margin)
        axes.set(title=title, xlabel="epoch", ylabel="nats per example")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure


def tile(images: Array, shape: tuple[int, int], n_columns: int) -> Array:
    """Return one array with the images in rows of n_columns, a gap of NaN between them.

    >>> tile(np.zeros((3, 4)), (2, 2), n_columns=2).shape
    (7, 7)
    """
    height, width = shape
    n_rows = -(-len(images) // n_columns)
    canvas = np.full((n_rows * (height + _GAP) + _GAP, n_columns * (width + _GAP) + _GAP), np.nan)
    for i, image in enumerate(images):
        top, left = (
            (i // n_columns) * (height + _GAP) + _GAP,
            (i % n_columns) * (width + _GAP) + _GAP,
        )
        canvas[top : top + height, left : left + width] = image.reshape(shape)
    return canvas


@dataclass(frozen=True)
class Shades:
    """One grey scale for all images of a data set: its range of values, and which end is ink."""

    low: float
    high: float
    cmap: str

    @classmethod
    def of(cls, x: Array) -> "Shades":
        """Return the scale of the data: dark strokes where most of the image is at the low end, else photographs.

        >>> Shades.of(np.array([[0.0, 0.0, 1.0]]))
        Shades(low=0.0, high=1.0, cmap='gray_r')
        """
        low, high = float(x.min()), float(x.max())
        return cls(low, high, "gray_r" if float(x.mean()) < (low + high) / 2 else "gray")

    @classmethod
    def signed(cls, x: Array) -> "Shades":
        """Return a scale for weights and directions: white at zero, red above, blue below.

        >>> Shades.signed(np.array([-1.0, 3.0]))
        Shades(low=-3.0, high=3.0, cmap='RdBu_r')
        """
        high = float(np.abs(x).max()) or 1.0
        return cls(-high, high, "RdBu_r")


def _show(axes: Any, canvas: Array, shades: Shades, **how: Any) -> Any:
    import matplotlib

    cmap = matplotlib.colormaps[shades.cmap].with_extremes(bad="#BBD6E8")
    image = axes.imshow(canvas, cmap=cmap, vmin=shades.low, vmax=shades.high, interpolation="nearest", **how)
    axes.set(xticks=[], yticks=[])
    return image


def image_grid(
    images: Array, shape: tuple[int, int], shades: Shades, title: str, n_columns: int = 10, unit: str = "pixel value"
) -> "Figure":
    """Draw images in a grid."""
    canvas = tile(images, shape, n_columns)
    figure = figure_of(6.4, 6.4 * canvas.shape[0] / canvas.shape[1] + 0.5)
    axes = figure.subplots()
    image = _show(axes, canvas, shades)
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label=unit, shrink=0.8)
    return figure


def reconstructions(x: Array, x_hat: Array, shape: tuple[int, int], shades: Shades, n: int = 12) -> "Figure":
    """Draw n originals above their reconstructions."""
    rows = {"original x": x[:n], "E[x|z]": x_hat[:n]}
    return image_rows(rows, shape, shades, "Originals, and reconstructions from the mean code")


def image_rows(
    rows: dict[str, Array], shape: tuple[int, int], shades: Shades, title: str, unit: str = "pixel value"
) -> "Figure":
    """Draw rows of images of equal number, one below the other, each with its label."""
    n = len(next(iter(rows.values())))
    width = max(0.75 * n * max(1.0, shape[1] / shape[0]), 4.5)  # room for the title
    figure = figure_of(width + 2.2, 0.8 * len(rows) * max(1.0, shape[0] / shape[1]) + 1.0)
    figure.set_layout_engine("compressed")  # of images: the other one cuts labels of the middle rows
    panels = np.ravel(figure.subplots(len(rows), 1, squeeze=False))
    for axes, (label, images) in zip(panels, rows.items(), strict=True):
        image = _show(axes, tile(images, shape, n), shades)
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
    panels[0].set_title(title)
    figure.colorbar(image, ax=list(panels), label=unit)
    return figure


def receptive_fields(jacobian: Array, shape: tuple[int, int], n: int = 48) -> "Figure":
    """Draw what each latent reacts to: the rows of a Jacobian dz/dx, shape (L, n_x), as images; the longest first."""
    order = np.argsort(-np.linalg.norm(jacobian, axis=1), kind="stable")[:n]
    rows = jacobian[order]
    title = f"What each latent reacts to: mean of dz/dx, {len(order)} of {len(jacobian)} latents"
    return image_grid(rows, shape, Shades.signed(rows), title, n_columns=min(8, len(rows)), unit="dz/dx")


def loss_against_latents(discarded: Array, trained: dict[int, float]) -> "Figure":
    """Draw the sum of the discarded eigenvalues against the number of latents, and trained losses on it.

    Parameters
    ----------
    discarded : array of shape (d + 1,)
        The sum of the eigenvalues after the first q, for q = 0, ..., d.
    trained : dict
        Loss of the trained linear autoencoder, by q.
    """
    figure = figure_of(6.4, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    q = np.arange(len(discarded))
    left.plot(q, discarded, color=COLORS[0], lw=1.4, label="sum of discarded eigenvalues")
    places, losses = np.array(list(trained)), np.array(list(trained.values()))
    left.plot(places, losses, "o", color=COLORS[3], ms=6, mfc="none", mew=1.6, label="trained linear autoencoder")
    left.set(xlabel="latents q", ylabel="mean squared error, summed over pixels", ylim=(0, None))
    left.set_title("Loss")
    left.legend(frameon=False)
    excess = np.abs(losses - discarded[places]) / discarded[0]
    right.semilogy(places, np.maximum(excess, 1e-17), "o", color=COLORS[3], ms=6, mfc="none", mew=1.6)
    right.set(xlabel="latents q", ylabel="|loss - exact| / total variance", ylim=(3e-18, 1e-6))
    right.set_title("Distance from exact")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def latent_scatter(z: Array, labels: np.ndarray | None, dims: tuple[int, int] = (0, 1)) -> "Figure":
    """Draw posterior means in the plane of two latents (or a histogram of one), coloured by label."""
    figure = figure_of(6.6, 5.4)
    axes = figure.subplots()
    size, alpha = (14.0, 0.75) if len(z) < 3000 else (5.0, 0.5)
    classes = np.unique(labels) if labels is not None and len(np.unique(labels)) <= len(COLORS) else [None]
    for i, name in enumerate(classes):
        points = z if name is None else z[labels == name]
        label = None if name is None else str(name)
        if z.shape[1] == 1:
            axes.hist(points[:, 0], bins="auto", color=COLORS[i], alpha=0.6, label=label)
        else:
            a, b = points[:, dims[0]], points[:, dims[1]]
            axes.scatter(a, b, s=size, alpha=alpha, color=COLORS[i], marker=_MARKERS[i], lw=0, label=label)
    title = "Codes of the test set"
    axes.set_title(title if labels is None or len(classes) > 1 else f"{title} (labels not coloured)")
    axes.set_xlabel(f"latent {dims[0] + 1}")
    axes.set_ylabel("examples" if z.shape[1] == 1 else f"latent {dims[1] + 1}")
    if classes[0] is not None:
        axes.legend(
            title="label",
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            markerscale=22 / size,
        )
    axes.grid(alpha=0.3)
    return figure


def latent_grid(
    decode: Any, n_latent: int, shape: tuple[int, int], shades: Shades, dims: tuple[int, int], n: int = 15
) -> "Figure":
    """Draw E[x|z] on a grid of two latents at equal steps of prior probability, the other latents at zero.

    Parameters
    ----------
    decode : callable
        From z of shape (n * n, n_latent) to images of shape (n * n, n_x).
    """
    ticks = np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])
    z = np.zeros((n * n, n_latent))
    z[:, dims[0]] = np.tile(ticks, n)
    z[:, dims[1]] = np.repeat(ticks[::-1], n)
    figure = figure_of(6.6, 6.0)
    axes = figure.subplots()
    canvas = tile(decode(z), shape, n)
    image = _show(axes, canvas, shades, aspect="auto")
    shown = range(n // 2 % 2, n, 2)  # every second step, the centre among them
    step_y, step_x = shape[0] + _GAP, shape[1] + _GAP
    axes.set_xticks([_GAP + (i + 0.5) * step_x - 1 for i in shown], [f"{ticks[i]:.2f}" for i in shown])
    axes.set_yticks([_GAP + (i + 0.5) * step_y - 1 for i in shown], [f"{ticks[n - 1 - i]:.2f}" for i in shown])
    axes.set(xlabel=f"latent {dims[0] + 1}", ylabel=f"latent {dims[1] + 1}")
    axes.set_title("Decoded plane E[x|z], steps of equal prior probability")
    figure.colorbar(image, ax=axes, label="pixel value", shrink=0.8)
    return figure


def table_samples(x: Array, draws: Array, drawn: str = "z ~ N(0, I)", n: int = 12) -> "Figure":
    """Draw the histogram of each column in the data and in draws of the model: for data that are not images."""
    figure, panels = _panels(min(n, x.shape[1]))
    for j, panel in enumerate(panels):
        bins = np.histogram_bin_edges(np.concatenate([x[:, j], draws[:, j]]), 20).tolist()
        panel.hist(x[:, j], bins=bins, density=True, color=COLORS[0], alpha=0.55, label="test data")
        panel.hist(draws[:, j], bins=bins, density=True, color=COLORS[3], histtype="step", lw=1.6, label="samples")
        panel.set(xlabel=f"column {j}, as the model sees it", ylabel="density")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"Samples x ~ p(x|z), {drawn}, beside the test data" + _left_out(x, panels))
    return figure


def table_reconstructions(x: Array, x_hat: Array, n: int = 12) -> "Figure":
    """Draw each column's reconstruction against its value: for data that are not images."""
    figure, panels = _panels(min(n, x.shape[1]))
    for j, panel in enumerate(panels):
        ends = [float(x[:, j].min()), float(x[:, j].max())]
        panel.plot(ends, ends, color=COLORS[8], lw=1, label="perfect reconstruction")
        panel.scatter(x[:, j], x_hat[:, j], s=10, alpha=0.7, lw=0, color=COLORS[0], label="test example")
        panel.set(xlabel=f"column {j}, as the model sees it", ylabel="E[x|z]")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle("Reconstructions from the mean code against the test data" + _left_out(x, panels))
    return figure


def _left_out(x: Array, panels: list[Any]) -> str:
    return f" (first {len(panels)} of {x.shape[1]} columns)" if len(panels) < x.shape[1] else ""


def _panels(n: int) -> tuple["Figure", list[Any]]:
    """Return a figure with n panels in rows of four."""
    n_columns, n_rows = min(4, n), -(-n // 4)
    figure = figure_of(max(2.8 * n_columns, 5.0), 2.2 * n_rows + 0.9)
    panels = np.ravel(figure.subplots(n_rows, n_columns, squeeze=False)).tolist()
    for panel in panels[n:]:
        panel.set_axis_off()
    return figure, panels[:n]


def save(figure: "Figure", path: Any) -> str:
    """Write a figure to a file, whole or not at all, and return the path as text."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(Path(path), buffer.getvalue())
    return str(path)
