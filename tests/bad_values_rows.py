"""The table of ``test_bad_values``: how each public callable is called rightly, and what of the hostile it may take.

A row names the callable, ``Class.method`` after the class that defines it, and gives right arguments. Its options:

- ``ok``: for an argument the labels of hostile values that are right values too (a width of 10**12 is not one);
- ``inner``: the inside of a loop, which looks at shape and dtype only: NaN in an array may come out as NaN;
- ``writes``: the arguments that it is there to change;
- ``unused``: the arguments that it takes because its protocol gives them: any value gives the same result;
- ``asis``: the arguments that are handed on from another method, such as a cache, and not looked at;
- ``skip``: for an argument the labels that say nothing, such as a function of the caller's that fails by itself;
- ``names``: other words for an argument in messages.
"""

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

import numpy as np

import minivae as mv
from minivae import classical, datasets, distributions, estimators, exercises, models, nn, studies, training
from minivae.classical import families
from minivae.core.seeds import stream  # noqa: F401
from minivae.studies.gradients_families import FAMILIES


@dataclass(frozen=True)
class Row:
    key: str
    call: Callable[..., Any]
    args: dict[str, Any]
    ok: dict[str, str] = field(default_factory=dict)
    inner: bool = False
    writes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    asis: tuple[str, ...] = ()
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    skip: dict[str, str] = field(default_factory=dict)


ROWS: list[Row] = []


def row(key: str, call: Callable[..., Any], args: dict[str, Any], **how: Any) -> None:
    for name in ("writes", "unused", "asis"):
        if isinstance(how.get(name), str):
            how[name] = tuple(how[name].split())
    ROWS.append(Row(key, call, args, **how))


REAL = "integers|float16|other float"  # any real numbers
ROWS_ = "long|float16|other float"  # floats in rows of known width
ANY = ROWS_ + "|wide"  # floats in rows of any width
SHAPES = "0-d|3-d|deeper|wide|long"  # any shape
COUNT = ""
NUMBER = "1.5|10**12|10**30"

rng = np.random.default_rng(0)
gen = np.random.default_rng
X = np.array([[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]])  # bits, (3, 4)
R = rng.standard_normal((3, 4))
Z = rng.standard_normal((3, 2))
DY = rng.standard_normal((3, 2))
NONE = np.empty(0)

# ------------------------------------------------------------------------------------------------------- nn

dense = nn.Dense(4, 2)
theta = dense.init(gen(0))
row("Dense", nn.Dense, {"n_in": 4, "n_out": 2, "weights": "he"})
row("Dense.init", dense.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row("Dense.unpack", dense.unpack, {"params": theta}, inner=True, ok={"params": "other float|complex"})
row("Dense.named", dense.named, {"params": theta}, inner=True, ok={"params": "other float|complex"})
row("Dense.matrix", dense.matrix, {"params": theta}, inner=True, ok={"params": "other float|complex"})
row("Dense.out_bias", dense.out_bias, {"params": theta}, inner=True, ok={"params": "other float|complex"})
LOOK = {"x": "long", "grads": "None"}
row("Dense.forward", dense.forward, {"params": theta, "x": R}, inner=True, ok=LOOK)
row(
    "Dense.backward",
    dense.backward,
    {"params": theta, "cache": R, "dy": DY, "grads": np.zeros_like(theta), "need_dx": True},
    inner=True,
    ok=LOOK,
    writes="grads",
    asis="cache",
)
row("MaskedDense", nn.MaskedDense, {"in_degrees": [0, 1, 2], "out_degrees": [1, 2], "strict": True})
front = nn.Front(4, 2)
row("Front", nn.Front, {"n_in": 4, "n_out": 2})
row("Front.named", front.named, {"params": NONE}, unused="params")
row(
    "Front.forward",
    front.forward,
    {"params": NONE, "x": R},
    inner=True,
    unused="params",
    ok={"x": "long|other float|complex"},
)
row(
    "Front.backward",
    front.backward,
    {"params": NONE, "cache": None, "dy": DY, "grads": NONE, "need_dx": True},
    inner=True,
    unused="params cache grads",
    ok={"dy": "long|other float"},
)
masked = nn.MaskedDense([0, 1, 2, 2], [1, 2])
row("MaskedDense.init", masked.init, {"rng": gen(0), "dtype": np.float32}, ok={})
for method in ("unpack", "named", "masked", "out_bias"):
    of_params = {"inner": True, "ok": {"params": "other float|complex"}}
    row(f"MaskedDense.{method}", getattr(masked, method), {"params": theta}, **of_params)
row("MaskedDense.forward", masked.forward, {"params": theta, "x": R}, inner=True, ok=LOOK)
row(
    "MaskedDense.backward",
    masked.backward,
    {
        "params": theta,
        "cache": masked.forward(theta, R)[1],
        "dy": DY,
        "grads": np.zeros_like(theta),
        "need_dx": True,
    },
    inner=True,
    ok=LOOK,
    writes="grads",
    asis="cache",
)
tiny = nn.mlp([4, 3, 2], "tanh")
tiny_theta = tiny.init(gen(0))
tiny_caches = tiny.forward(tiny_theta, R)[1]
row("Sequential", nn.Sequential, {"layers": [nn.Dense(4, 3), nn.Tanh(), nn.Dense(3, 2)]})
row("Sequential.init", tiny.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row("Sequential.named", tiny.named, {"params": tiny_theta}, inner=True, ok={"params": "other float|complex"})
row("Sequential.out_bias", tiny.out_bias, {"params": tiny_theta}, inner=True, ok={"params": "other float|complex"})
row("Sequential.forward", tiny.forward, {"params": tiny_theta, "x": R}, inner=True, ok=LOOK)
row("Sequential.trace", tiny.trace, {"params": tiny_theta, "x": R}, inner=True, ok=LOOK)
row(
    "Sequential.backward",
    tiny.backward,
    {"params": tiny_theta, "cache": tiny_caches, "dy": DY, "grads": np.zeros_like(tiny_theta), "need_dx": False},
    inner=True,
    ok=LOOK | {"need_dx": "True"},
    writes="grads",
    asis="cache",
)

# images and sequences
conv = nn.Conv2d((1, 2, 2), 1, 2, 2, 0)
image = {"shape": (1, 5, 4), "channels": 2, "kernel": (3, 2), "stride": 2, "padding": 1, "weights": "he"}
row("Conv2d", nn.Conv2d, image, ok={"padding": "0"})
row("ConvTranspose2d", nn.ConvTranspose2d, image, ok={"padding": "0"})
row("AveragePool", nn.AveragePool, {"shape": (1, 4, 2), "size": 2})
row("Dropout", nn.Dropout, {"n": 3, "rate": 0.5}, ok={"rate": "0"})
row("MaxPool", nn.MaxPool, {"shape": (1, 4, 2), "size": 2})
row("Upsample", nn.Upsample, {"shape": (1, 4, 2), "size": 2})
row("LayerNorm", nn.LayerNorm, {"n": 4, "eps": 1e-5}, ok={"eps": NUMBER})
row("Residual", nn.Residual, {"net": nn.mlp([4, 3, 4])})
row("Steps", nn.Steps, {"net": nn.mlp([2, 3, 1]), "n_steps": 2})
row("Repeat", nn.Repeat, {"n": 2, "n_steps": 3})
row("Bidirectional", nn.Bidirectional, {"layer": nn.GRU(2, 2, 3)})
for cell in (nn.RNN, nn.GRU, nn.LSTM):
    sizes = {"n_steps": 2, "n_features": 2, "n_units": 3, "gives": "last", "ragged": False, "reverse": True}
    row(cell.__name__, cell, sizes, ok={"ragged": "True"})
norm, gru = nn.LayerNorm(4), nn.GRU(2, 2, 1)
for layer, width in ((conv, 1), (gru, 1)):
    own, base = layer.init(gen(0)), "LookingLayer"
    of_params = {"inner": True, "ok": {"params": "other float|complex"}}
    row("LookingLayer.init", layer.init, {"rng": gen(0), "dtype": np.float32}, ok={})
    for method in ("unpack", "named", "out_bias"):
        row(f"LookingLayer.{method}", getattr(layer, method), {"params": own}, **of_params)
    row("LookingLayer.forward", layer.forward, {"params": own, "x": R}, inner=True, ok=LOOK)
    row(
        "LookingLayer.backward",
        layer.backward,
        {
            "params": own,
            "cache": layer.forward(own, R)[1],
            "dy": np.ones((3, width)),
            "grads": np.zeros_like(own),
            "need_dx": True,
        },
        inner=True,
        ok=LOOK,
        writes="grads",
        asis="cache",
    )
row("LayerNorm.init", norm.init, {"rng": gen(0), "dtype": np.float32}, ok={}, unused="rng")
row("LayerNorm.out_bias", norm.out_bias, {"params": norm.init()}, **of_params)
gru_theta = gru.init(gen(0))
row(
    "Recurrent.gradient_norms",
    gru.gradient_norms,
    {"params": gru_theta, "x": R, "dy": np.ones((3, 1))},
    inner=True,
    ok=LOOK,
)
row(
    "Recurrent.step_jacobian",
    gru.step_jacobian,
    {"params": gru_theta, "state": np.zeros(1)},
    ok={"state": "None|" + REAL},
)
U3 = rng.random((3, 6))
thin = nn.Sequential([nn.Dense(4, 6), nn.Dropout(6), nn.Dense(6, 4)])
for name, layer in (
    ("Dropout", nn.Dropout(6)),
    ("Sequential", thin),
    ("Residual", nn.Residual(thin)),
    ("Steps", nn.Steps(nn.Sequential([nn.Dense(2, 3), nn.Dropout(3)]), 2)),
):
    row(f"{name}.given", layer.given, {"noise": U3}, inner=True, ok={"noise": "long|other float"})
shared = nn.Steps(nn.mlp([2, 3, 1]), 2)
shared_theta = shared.init(gen(0))
row("Steps.init", shared.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row("Steps.unpack", shared.unpack, {"params": shared_theta}, **of_params)
row("Steps.named", shared.named, {"params": shared_theta}, **of_params)
block = nn.Residual(nn.mlp([4, 3, 4], "tanh"))
block_theta = block.init(gen(0))
row("Residual.init", block.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row("Residual.named", block.named, {"params": block_theta}, **of_params)
row("Residual.out_bias", block.out_bias, {"params": block_theta}, **of_params)
row("Residual.forward", block.forward, {"params": block_theta, "x": R}, inner=True, ok=LOOK)
row(
    "Residual.backward",
    block.backward,
    {
        "params": block_theta,
        "cache": block.forward(block_theta, R)[1],
        "dy": R,
        "grads": np.zeros_like(block_theta),
        "need_dx": True,
    },
    inner=True,
    ok=LOOK,
    writes="grads",
    asis="cache",
)
for activation in nn.ACTIVATIONS.values():
    cache = activation.forward(NONE, R)[1]
    x_ok = {"x": "long|wide|other float", "cache": "long|wide|other float"}
    complexes = "|complex" if activation.analytic else ""
    row(
        "Activation.forward",
        activation.forward,
        {"params": NONE, "x": R},
        inner=True,
        ok={"x": x_ok["x"] + complexes},
        unused="params",
    )
    row(
        "Activation.backward",
        activation.backward,
        {"params": NONE, "cache": cache, "dy": R, "grads": NONE, "need_dx": True},
        inner=True,
        ok=x_ok,
        unused="params grads",
        asis="cache",
    )
    row("Activation.slope", activation.slope, {"cache": cache}, asis="cache")
    row(f"{type(activation).__name__}.curvature", activation.curvature, {"cache": cache}, asis="cache")
    row(type(activation).__name__, type(activation), {})
row("Activation.out_bias", nn.Tanh().out_bias, {"params": NONE}, unused="params")
row("NoParameters.named", nn.Tanh().named, {"params": NONE}, unused="params")
row("NoParameters.init", nn.Tanh().init, {"rng": gen(0), "dtype": np.float32}, unused="rng", ok={})

RATE = {"learning_rate": "1.5|10**12|10**30"}
row("SGD", nn.SGD, {"learning_rate": 0.5, "momentum": 0.5}, ok=RATE | {"momentum": "0"})
row(
    "RMSprop",
    nn.RMSprop,
    {"learning_rate": 0.5, "decay": 0.5, "eps": 0.5, "centered": True},
    ok=RATE | {"decay": "0", "eps": NUMBER},
)
row(
    "Adam",
    nn.Adam,
    {"learning_rate": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.5},
    ok=RATE | {"beta1": "0", "beta2": "0", "eps": NUMBER},
)
for rule in (nn.SGD(0.5, 0.5), nn.RMSprop(0.5), nn.Adam(0.5)):
    name = type(rule).__name__
    flat = {"params": "long|other float"}
    row(f"{name}.init", rule.init, {"params": theta}, inner=True, ok={"params": "empty|long|wide|other float"})
    args = {"params": theta, "grads": theta / 2, "state": rule.init(theta), "scale": 0.5}
    row(
        f"{name}.update",
        rule.update,
        args,
        inner=True,
        writes="params state",
        ok={"scale": "0|1.5|10**12|10**30"},
    )
row("StepDecay", nn.StepDecay, {"milestones": (2, 4), "factor": 0.5}, ok={"milestones": "[]|empty", "factor": NUMBER})
row("StepDecay.scale", nn.StepDecay((2,)).scale, {"epoch": 3}, ok={"epoch": "0|10**12|10**30"})
row(
    "clip_by_norm",
    nn.clip_by_norm,
    {"grads": theta, "norm": 5.0, "max_norm": 1.0},
    inner=True,
    writes="grads",
    ok={"grads": "empty|long|wide|other float", "norm": "0|1.5|10**12|10**30", "max_norm": NUMBER},
)
row("mlp", nn.mlp, {"widths": [4, 3, 2], "activation": "tanh"})
row("mlp", nn.mlp, {"widths": [4, 3, 2], "activation": nn.Tanh()})
row(
    "check_gradient",
    nn.check_gradient,
    {
        "value": lambda t: float(t @ t),
        "gradient": np.array([2.0, 4.0]),
        "theta": np.array([1.0, 2.0]),
        "name": "mine",
        "n_directions": 2,
        "method": "central",
        "tolerance": 0.5,
        "rng": gen(0),
    },
    ok={
        "n_directions": "None",
        "rng": "None",
        "tolerance": "None|" + NUMBER,
        "name": "'x'|''",
        "gradient": "integers|other float|float16|NaN in it|inf in it",
        "theta": "list",
    },
    skip={"value": "class", "gradient": "class", "theta": "1e300 in it"},
)

# ------------------------------------------------------------------------------------------------- distributions

row("all_states", distributions.all_states, {"n": 3})
row("gauss_hermite", distributions.gauss_hermite, {"n_nodes": 3, "n_latent": 2})
row(
    "normal_nodes",
    distributions.normal_nodes,
    {"n_latent": 1, "step": 0.5, "far": 4.0},
    ok={"step": "1.5", "far": "1.5"},
)
row("named_posterior", distributions.named_posterior, {"posterior": "bits", "n_latent": 2})
row("named_posterior", distributions.named_posterior, {"posterior": distributions.Bits(2), "n_latent": 2})
row(
    "closed_kl",
    distributions.closed_kl,
    {"posterior": distributions.DiagonalGaussian(2), "prior": distributions.StandardNormal(2)},
)
row(
    "closes",
    distributions.closes,
    {"posterior": distributions.Bits, "prior": distributions.StandardNormal},
    ok={"posterior": "class", "prior": "class"},
)
q, b = distributions.DiagonalGaussian(2), distributions.Bits(2)
HEAD, EPS, U = rng.standard_normal((3, 4)), rng.standard_normal((5, 3, 2)), rng.random((5, 3, 2))
BITS = (U > 0.5).astype(float)
Q = rng.standard_normal((5, 3))
GAUSS = {"head": "long", "eps": "long", "z": "long"}
f, r = distributions.FullGaussian(2), distributions.SymmetricGaussian(2)
PACKED = rng.standard_normal((3, 5))
for cls in (type(q), type(f), type(r), type(b), distributions.StandardNormal, distributions.FairBits):
    row(cls.__name__, cls, {"n_latent": 2})
c = distributions.Categorical(2)
CODES = np.stack([BITS[..., 0], 1 - BITS[..., 0]], axis=-1)
row("Categorical", distributions.Categorical, {"n_latent": 6, "n_categories": 3}, ok={"n_categories": "None"})
row("UniformCategories", distributions.UniformCategories, {"n_latent": 6, "n_categories": 3}, ok={"n_categories": "1"})
row("all_codes", distributions.all_codes, {"n_groups": 2, "n_categories": 3})
fixed_q = distributions.FixedGaussian(2, 0.5)
row("FixedGaussian", distributions.FixedGaussian, {"n_latent": 2, "variance": 0.5}, ok={"variance": NUMBER})
for posterior, head, eps, z in (
    (q, HEAD, EPS, EPS),
    (f, PACKED, EPS, EPS),
    (r, PACKED, EPS, EPS),
    (b, DY, U, BITS),
    (c, DY, U, CODES),
    (fixed_q, DY, EPS, EPS),
):
    name = type(posterior).__name__
    real = "RealPosterior" if posterior.has_path else name
    cache = posterior.sample(NONE, head, eps)[2]
    back = {"params": NONE, "cache": cache, "dz": EPS, "dlog_q": Q, "grads": NONE}
    how = {"inner": True, "ok": GAUSS, "unused": "params grads"}
    alone = {"head": "long|other float"}
    row(
        f"{name}.sample",
        posterior.sample,
        {"params": NONE, "head": head, "eps": eps},
        **how | {"ok": {"eps": "long"}},
    )
    row(
        f"{name}.log_prob",
        posterior.log_prob,
        {"params": NONE, "head": head, "z": z},
        **how | {"ok": {"z": "long"}},
    )
    row(f"{name}.mean", posterior.mean, {"params": NONE, "head": head}, **how | {"ok": alone})
    row(f"{real}.code", posterior.code, {"params": NONE, "head": head}, **how | {"ok": alone})
    row(f"{name}.backward", posterior.backward, back, **how, asis="cache")
    scored = name if type(posterior) in (type(q), type(b), type(c)) else real
    row(f"{scored}.score", posterior.score, {k: v for k, v in back.items() if k != "dz"}, **how, asis="cache")
    if posterior.has_path:
        row(
            f"{name}.slope",
            posterior.slope,
            {"params": NONE, "cache": cache},
            inner=True,
            unused="params",
            asis="cache",
        )
    row(
        f"{real}.draw_noise",
        posterior.draw_noise,
        {"rng": gen(0), "shape": (2, 3, 2), "dtype": np.float32},
        ok={"shape": "[]"},
    )
    row(f"{real}.prior", posterior.prior, {})
row("RealPosterior.check_noise", q.check_noise, {"eps": EPS}, unused="eps")
row("FullGaussian.split", f.split, {"head": PACKED}, inner=True, ok={"head": "long|other float"})
row("FullGaussian.factor", f.factor, {"head": PACKED}, inner=True, ok={"head": "long|other float"})
row("SymmetricGaussian.logarithm", r.logarithm, {"head": PACKED}, inner=True, ok={"head": "long|other float"})
bent = distributions.PlanarFlow(2, 2)
chain = distributions.InverseAutoregressiveFlow(2, 2, [3], 2)
row("PlanarFlow", distributions.PlanarFlow, {"n_latent": 2, "n_steps": 3})
row(
    "InverseAutoregressiveFlow",
    distributions.InverseAutoregressiveFlow,
    {"n_latent": 2, "n_blocks": 2, "n_hidden": [3], "n_context": 2, "form": "affine"},
    ok={"n_hidden": "[]|empty", "n_context": "0"},
)
for flow in (bent, chain):
    name, head, eps = type(flow).__name__, rng.standard_normal((3, flow.n_head)), EPS
    own = flow.init(gen(0))
    unused = () if len(own) else ("params",)
    how = {"inner": True, "unused": unused}
    cache = flow.sample(own, head, eps)[2]
    back = {"params": own, "cache": cache, "dz": EPS, "dlog_q": Q, "grads": np.zeros_like(own)}
    writing = how | {"unused": () if len(own) else ("params", "grads"), "writes": "grads", "asis": "cache"}
    draw, at_z = {"params": own, "head": head, "eps": eps}, {"params": own, "head": head, "z": EPS / 4}
    alone = {"head": "long" if len(own) else "long|other float"}
    row(f"{name}.sample", flow.sample, draw, **how, ok={"eps": "long"})
    row(f"{name}.log_prob", flow.log_prob, at_z, **how, ok={"z": "long"})
    row(f"{name}.inverse", flow.inverse, at_z, **how, ok={"z": "long"})
    row(f"{name}.backward", flow.backward, back, **writing)
    row("RealPosterior.score", flow.score, {k: v for k, v in back.items() if k != "dz"}, **writing)
    row(f"{name}.slope", flow.slope, {"params": own, "cache": cache}, **how, asis="cache")
    row("Flow.mean", flow.mean, {"params": own, "head": head}, **how, ok=alone)
    row("Flow.code", flow.code, {"params": own, "head": head}, **how, ok=alone)
    row(f"{name}.split", flow.split, {"head": head}, inner=True, ok={"head": "long|other float"})
own = chain.init(gen(0))
row("InverseAutoregressiveFlow.init", chain.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row("InverseAutoregressiveFlow.named", chain.named, {"params": own}, inner=True, ok={"params": "other float|complex"})
row("InverseAutoregressiveFlow.order", chain.order, {"block": 1}, ok={"block": "0|10**12|10**30"})
MU, TRIANGLES = rng.standard_normal((2, 3, 2)), np.array([[[1.2, 0.0], [0.4, 0.7]]] * 3)
PAIR = {"mu0": MU[0], "L0": TRIANGLES, "mu1": MU[1], "L1": TRIANGLES / 2}
REALS = dict.fromkeys(PAIR, REAL)
row("gaussian_kl", distributions.gaussian_kl, PAIR, ok=REALS)
row(
    "gaussian_kl_backward", distributions.gaussian_kl_backward, PAIR | {"dkl": np.arange(3.0)}, ok=REALS | {"dkl": REAL}
)
belief, layered = distributions.BeliefBits(1, 1), distributions.BeliefPrior(1, 1)
row("BeliefBits", distributions.BeliefBits, {"n_lower": 2, "n_upper": 3})
row("BeliefPrior", distributions.BeliefPrior, {"n_lower": 2, "n_upper": 3})
own, ONE = belief.init(gen(0)), DY[:, :1].copy()
inner, heads = {"inner": True}, {"head": "long"}
row("BeliefBits.init", belief.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row("BeliefBits.named", belief.named, {"params": own}, inner=True, ok={"params": "other float|complex"})
row(
    "BeliefBits.draw_noise",
    belief.draw_noise,
    {"rng": gen(0), "shape": (2, 3, 2), "dtype": np.float32},
    ok={"shape": "[]"},
)
row(
    "BeliefBits.check_noise",
    belief.check_noise,
    {"eps": U},
    inner=True,
    ok={"eps": "0-d|3-d|deeper|wide|long|other float|float16"},
)
row("BeliefBits.prior", belief.prior, {})
row("BeliefBits.sample", belief.sample, {"params": own, "head": ONE, "eps": U}, **inner, ok={"eps": "long"})
row("BeliefBits.log_prob", belief.log_prob, {"params": own, "head": ONE, "z": BITS}, **inner, ok={"z": "long"})
for method in ("mean", "code", "states"):
    row(f"BeliefBits.{method}", getattr(belief, method), {"params": own, "head": ONE}, **inner, ok=heads)
back = {
    "params": own,
    "cache": belief.sample(own, ONE, U)[2],
    "dz": EPS,
    "dlog_q": Q,
    "grads": np.zeros_like(own),
}
row("BeliefBits.backward", belief.backward, back, **inner, asis="cache", writes="grads")
scored = {k: v for k, v in back.items() if k != "dz"}
row("BeliefBits.score", belief.score, scored, **inner, asis="cache", writes="grads")
theirs = layered.init(gen(0))
row("BeliefPrior.init", layered.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row("BeliefPrior.named", layered.named, {"params": theirs}, inner=True, ok={"params": "other float|complex"})
row("BeliefPrior.log_prob", layered.log_prob, {"params": theirs, "z": BITS}, **inner, ok={"z": "long"})
row(
    "BeliefPrior.backward",
    layered.backward,
    {"params": theirs, "z": BITS, "dlog_prob": Q, "grads": np.zeros_like(theirs)},
    **inner,
    writes="grads",
)
row("BeliefPrior.sample", layered.sample, {"params": theirs, "n": 3, "rng": gen(0)}, inner=True)
for codes in (b, c):
    name, one = type(codes).__name__, {"inner": True, "ok": {"head": "long|other float"}}
    looked = {"eps": "0-d|3-d|deeper|wide|long|other float|float16"}
    row(f"{name}.check_noise", codes.check_noise, {"eps": U}, inner=True, ok=looked)
    row(f"{name}.states", codes.states, {"params": NONE, "head": DY}, unused="params", **one)
    row(f"{name}.behind", codes.behind, {"head": DY, "eps": U}, inner=True, ok={"eps": "long"})
    row(f"{name}.behind_forward", codes.behind_forward, {"head": DY, "dhead": EPS}, inner=True, ok={"dhead": "long"})
    row(f"{name}.behind_backward", codes.behind_backward, {"head": DY, "dy": EPS}, inner=True, ok={"dy": "long"})
row("Categorical.log_theta", c.log_theta, {"head": DY}, inner=True, ok={"head": "long|other float"})
row("DiagonalGaussian.split", q.split, {"head": HEAD}, inner=True, ok={"head": "long|other float"})
for prior, z in (
    (distributions.StandardNormal(2), EPS),
    (distributions.FairBits(2), BITS),
    (distributions.UniformCategories(2, 2), CODES),
):
    name = type(prior).__name__
    how = {"inner": True, "unused": "params grads" + ("" if name == "StandardNormal" else " dlog_prob")}
    row(f"{name}.log_prob", prior.log_prob, {"params": NONE, "z": z}, **how, ok={"z": "long|other float"})
    row(
        f"{name}.backward",
        prior.backward,
        {"params": NONE, "z": z, "dlog_prob": Q, "grads": NONE},
        **how,
        ok={"z": "" if name == "StandardNormal" else "long|other float"},
    )
    row(
        f"{name}.sample",
        prior.sample,
        {"params": NONE, "n": 3, "rng": gen(0)},
        ok={"params": "wide|long|other float|empty|0-d|3-d|deeper|NaN in it|inf in it"},
    )
mix, vamp = distributions.MixtureOfGaussians(2, 3), distributions.VampPrior(2, 3, 4)
HEADS = rng.standard_normal(12)
LONG = {"z": "long", "dlog_prob": ""}
for prior, theta_p in ((mix, mix.init(gen(0))), (vamp, HEADS)):
    name = type(prior).__name__
    how = {"inner": True, "names": {"params": ("params", "z")}}
    row(f"{name}.log_prob", prior.log_prob, {"params": theta_p, "z": EPS}, **how, ok=LONG)
    back = {"params": theta_p, "z": EPS, "dlog_prob": Q, "grads": np.zeros_like(theta_p)}
    row(f"{name}.backward", prior.backward, back, **how, writes="grads")
    row(f"{name}.sample", prior.sample, {"params": theta_p, "n": 3, "rng": gen(0)}, inner=True)
    row(f"{name}.init", prior.init, {"rng": gen(0), "dtype": np.float32}, ok={})
    own = prior.init(gen(0))
    row(f"{name}.named", prior.named, {"params": own}, inner=True, ok={"params": "other float|complex"})
row("MixtureOfGaussians", distributions.MixtureOfGaussians, {"n_latent": 2, "n_components": 3})
row("VampPrior", distributions.VampPrior, {"n_latent": 2, "n_components": 3, "n_x": 4, "pixels": True})
row("VampPrior.check_model", vamp.check_model, {"posterior": q, "n_x": 4}, names={"posterior": ("prior",)})
row(
    "VampPrior.init_at",
    vamp.init_at,
    {"params": vamp.init(gen(0)), "x": X, "rng": gen(0)},
    writes="params",
    ok={"params": "other float|NaN in it|inf in it|1e300 in it", "x": ROWS_},
)
row("VampPrior.inputs", vamp.inputs, {"params": vamp.init(gen(0))}, inner=True, ok={"params": "other float"})
row(
    "VampPrior.inputs_backward",
    vamp.inputs_backward,
    {"params": vamp.init(gen(0)), "inputs": R[:, :4], "dinputs": R + 1, "grads": np.zeros(12)},
    inner=True,
    writes="grads",
    unused="params",
)
row(
    "named_prior",
    distributions.named_prior,
    {"prior": "vamp", "posterior": q, "n_components": 3, "likelihood": distributions.Bernoulli(), "n_x": 4},
    ok={"n_components": "None"},
)
row("Bernoulli", distributions.Bernoulli, {})
row("GaussianPerPixel", distributions.GaussianPerPixel, {})
row("Gaussian", distributions.Gaussian, {"variance": 0.5, "learned": True}, ok={"variance": NUMBER})
LOGITS, OUT2 = rng.standard_normal((6, 4)), rng.standard_normal((6, 8)) / 4
for likelihood, out in (
    (distributions.Bernoulli(), LOGITS),
    (distributions.Gaussian(), LOGITS),
    (distributions.Gaussian(learned=True), LOGITS),
    (distributions.GaussianPerPixel(), OUT2),
):
    name = type(likelihood).__name__
    base = {"Bernoulli": "Bernoulli", "Gaussian": "Gaussian", "GaussianPerPixel": "GaussianPerPixel"}[name]
    params = likelihood.init()
    learned = len(params) > 0
    nothing = () if learned else ("params",)
    ok = {"params": ""}
    how = {"inner": True, "unused": nothing, "ok": ok}
    cache = likelihood.forward(params, out, X)[1]
    fixed = name == "GaussianPerPixel" or name == "Gaussian"
    row(f"{base}.forward", likelihood.forward, {"params": params, "out": out, "x": X}, **how)
    row(
        "Bernoulli.log_prob" if base == "Bernoulli" else "_RealLine.log_prob",
        likelihood.log_prob,
        {"params": params, "out": out, "x": X},
        **how,
    )
    row(
        f"{base}.backward",
        likelihood.backward,
        {"params": params, "cache": cache, "dlog_prob": np.arange(6.0), "grads": np.zeros_like(params)},
        **how | {"unused": () if learned else ("params", "grads")},
        writes="grads",
        asis="cache",
    )
    of_out = {"ok": {"out": "long|other float|wide"}, "inner": True}
    row(f"{base}.mean", likelihood.mean, {"params": params, "out": out}, **of_out, unused="params")
    row(
        f"{base}.sample",
        likelihood.sample,
        {"params": params, "out": out, "rng": gen(0)},
        **of_out | {"ok": {"out": "long|other float|wide"}},
        unused=nothing,
    )
    row(f"{base}.n_out", likelihood.n_out, {"n_x": 4})
    row(f"{base}.out_at_mean", likelihood.out_at_mean, {"x": X}, ok={"x": ANY})
    row(
        f"{'Gaussian' if base == 'Gaussian' else '_Fixed'}.starting_at",
        likelihood.starting_at,
        {"x": X},
        ok={"x": ANY},
        unused=() if learned else ("x",),
    )
    row(
        "Bernoulli.check" if base == "Bernoulli" else "_RealLine.check",
        likelihood.check,
        {"x": X},
        ok={"x": ANY + "|0-d|3-d|deeper|integers|0"},
        unused=() if base == "Bernoulli" else ("x",),
    )
    row(
        "Bernoulli.is_density" if base == "Bernoulli" else "_RealLine.is_density",
        likelihood.is_density,
        {"x": X},
        ok={"x": ANY + "|0-d|3-d|deeper|integers|0|-1|1.5|nan|inf|10**12|NaN in it|inf in it"},
        unused=() if base == "Bernoulli" else ("x",),
    )
    row(
        f"{base}.check_training",
        likelihood.check_training,
        {"x": R},
        ok={"x": ANY},
        unused=() if base != "Bernoulli" and not (base == "Gaussian" and not learned) else ("x",),
    )
    if base == "Gaussian":
        row("Gaussian.init", likelihood.init, {"rng": gen(0), "dtype": np.float32}, unused="rng", ok={})
        row(
            "Gaussian.log_var",
            likelihood.log_var,
            {"params": params},
            inner=True,
            ok={"params": "other float|complex" if learned else ANY + "|empty|0-d|3-d|deeper|integers"},
        )
        row(
            "Gaussian.named",
            likelihood.named,
            {"params": params},
            inner=True,
            unused=nothing,
            ok={"params": "other float|complex"},
        )
lg = distributions.LinearGaussian(np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, -0.6]]), np.array([0.1, -0.2, 0.3]), 0.5)
X3, MU, LV = rng.standard_normal((4, 3)), rng.standard_normal((4, 2)), rng.standard_normal((4, 2)) / 4
row(
    "LinearGaussian",
    distributions.LinearGaussian,
    {"W": lg.W, "b": lg.b, "s2": 0.5},
    ok={"W": REAL + "|wide", "b": REAL, "s2": NUMBER},
    names={"W": ("W",), "b": ("b",)},
)

# sequences: (3, 5) are two steps of two numbers, and a length
S3 = np.concatenate([X, [[1.0], [2.0], [2.0]]], axis=1)
said = nn.Steps(nn.Sequential([nn.Dense(3, 2)]), 2)
writer = nn.Sequential([nn.GRU(2, 3, 3, "all"), said])
row("EachStep", distributions.EachStep, {"likelihood": mv.Bernoulli(), "n_steps": 2, "n_features": 2, "ragged": True})
row(
    "TeacherForced",
    distributions.TeacherForced,
    {"network": writer, "likelihood": mv.Bernoulli(), "n_steps": 2, "n_features": 2, "n_context": 1, "ragged": True},
)
each_step = distributions.EachStep(mv.Gaussian(learned=True), 2, 2, ragged=True)
forced = distributions.TeacherForced(writer, mv.Gaussian(learned=True), 2, 2, 1, ragged=True)
for likelihood, out in ((each_step, LOGITS), (forced, np.arange(6.0)[:, None] / 6)):
    name, params = type(likelihood).__name__, likelihood.init(gen(0))
    how = {"inner": True, "ok": {"params": ""}}
    row(
        f"{name}.init",
        likelihood.init,
        {"rng": gen(0), "dtype": np.float32},
        unused="rng" if likelihood is each_step else "",
    )
    row(f"{name}.named", likelihood.named, {"params": params}, inner=True, ok={"params": "other float|complex"})
    row(f"{name}.n_out", likelihood.n_out, {"n_x": 5})
    row(f"{name}.forward", likelihood.forward, {"params": params, "out": out, "x": S3}, **how)
    row(f"{name}.log_prob", likelihood.log_prob, {"params": params, "out": out, "x": S3}, **how)
    row(
        f"{name}.backward",
        likelihood.backward,
        {
            "params": params,
            "cache": likelihood.forward(params, out, S3)[1],
            "dlog_prob": np.arange(6.0),
            "grads": np.zeros_like(params),
        },
        **how,
        writes="grads",
        asis="cache",
    )
    nothing = ("params",) if likelihood is each_step else ()
    long = {"out": "long|other float"} if likelihood is each_step else {"out": "long"}
    row(f"{name}.mean", likelihood.mean, {"params": params, "out": out}, inner=True, ok=long, unused=nothing)
    row(
        f"{name}.sample",
        likelihood.sample,
        {"params": params, "out": out, "rng": gen(0)},
        inner=True,
        ok={"out": "long"},
    )
    row(f"{name}.out_at_mean", likelihood.out_at_mean, {"x": S3}, ok={"x": "long|float16|other float"})
row("TeacherForced.dropping", forced.dropping, {"kept": np.ones((6, 2))}, inner=True, ok={"kept": "long|other float"})
for method in ("check", "check_training", "starting_at", "is_density"):
    row(f"_EachStep.{method}", getattr(each_step, method), {"x": S3}, ok={"x": "long|float16|other float"})
row("LinearGaussian.log_prob", lg.log_prob, {"x": X3}, ok={"x": ROWS_ + "|integers"})
row("LinearGaussian.posterior", lg.posterior, {"x": X3}, ok={"x": ROWS_ + "|integers"})
row("LinearGaussian.sample", lg.sample, {"n": 3, "rng": gen(0)})
row(
    "LinearGaussian.elbo",
    lg.elbo,
    {"x": X3, "mu": MU, "log_var": LV},
    names={"x": ("x", "mu")},
    ok={
        "x": ROWS_.replace("long|", "") + "|integers",
        "mu": REAL,
        "log_var": REAL,
    },
)

# ------------------------------------------------------------------------------------------------- estimators

quad = estimators.Quadratic(3.0)
M2, S2 = np.array([0.5, 1.0]), np.array([1.0, 0.5])
NOISE = rng.standard_normal((6, 1, 2))
row("Linear", estimators.Linear, {})
row("Quadratic", estimators.Quadratic, {"k": 0.5}, ok={"k": "0|-1|1.5|10**12|10**30"})
row("Cosine", estimators.Cosine, {"k": 0.5}, ok={"k": "0|-1|1.5|10**12|10**30"})
row("Exponential", estimators.Exponential, {"k": 0.5}, ok={"k": "0|1.5|10**12|10**30"})
row(
    "FunctionCost",
    estimators.FunctionCost,
    {"f": lambda z: z.sum(axis=1), "df": np.ones_like},
    ok={"f": "function|class", "df": "function|class|None"},
)
own = estimators.FunctionCost(lambda z: np.sum(z**2, axis=1), lambda z: 2 * z)
LOC = {"mu": REAL, "sigma": REAL.replace("integers|", "")}
for cost in (quad, estimators.Linear(), estimators.Cosine(0.5), estimators.Exponential(0.5)):
    row("SeparableCost.value", cost.value, {"z": Z}, inner=True, ok={"z": "long|wide|other float|complex"})
    row("SeparableCost.gradient", cost.gradient, {"z": Z}, inner=True, ok={"z": "long|wide|other float|complex"})
    row("SeparableCost.mean", cost.mean, {"mu": M2, "sigma": S2}, ok=LOC)
    row("SeparableCost.optimal_baseline", cost.optimal_baseline, {"mu": M2, "sigma": S2}, ok=LOC)
row("FunctionCost.value", own.value, {"z": Z}, inner=True, ok={"z": "long|wide|other float|complex"})
row("FunctionCost.gradient", own.gradient, {"z": Z}, inner=True, ok={"z": "long|wide|other float|complex"})
for estimator in (
    estimators.Pathwise(),
    estimators.ScoreFunction("optimal", 50),
    estimators.LeaveOneOutScore(2),
    estimators.MovingAverageScore(0.5),
    estimators.ImportanceScore(1.5),
):
    row(
        "CostEstimator.gradients",
        estimator.gradients,
        {"cost": quad, "mu": M2, "sigma": S2, "noise": NOISE},
        names={"noise": ("noise", "cost.value", "cost.gradient")},
        ok=LOC | {"noise": "long|" + REAL if estimator.n_group == 1 else REAL},
    )
row("CostEstimator.draw_noise", estimators.Pathwise().draw_noise, {"rng": gen(0), "n_draws": 3, "n_latent": 2})
row("MeasureValued.draw_noise", estimators.MeasureValued().draw_noise, {"rng": gen(0), "n_draws": 3, "n_latent": 2})
row(
    "CostEstimator.prepare",
    estimators.Pathwise().prepare,
    {"cost": own, "mu": M2, "sigma": S2, "rng": gen(0)},
    unused="cost mu sigma rng",
)
row(
    "ScoreFunction.prepare",
    estimators.ScoreFunction("optimal", 50).prepare,
    {"cost": own, "mu": M2, "sigma": S2, "rng": gen(0)},
    ok=LOC | {"mu": LOC["mu"], "sigma": LOC["sigma"]},
)
row(
    "ScoreFunction.constants",
    estimators.ScoreFunction("optimal").constants,
    {"cost": quad, "mu": M2, "sigma": S2},
    ok=LOC,
)
row("Pathwise", estimators.Pathwise, {})
row("CostEstimator", estimators.CostEstimator, {})
row(
    "ScoreFunction",
    estimators.ScoreFunction,
    {"baseline": np.zeros((2, 2)), "n_pilot": 50},
    ok={"baseline": REAL + "|list|big-endian|0-d|0|-1|1.5|10**12|10**30|wide|long"},
)
row(
    "ScoreFunction",
    estimators.ScoreFunction,
    {"baseline": "mean", "n_pilot": 50},
    ok={"baseline": "list|big-endian|0|-1|1.5|10**12|10**30|0-d|wide|other float|integers|float16"},
)
row("LeaveOneOutScore", estimators.LeaveOneOutScore, {"n_group": 2})
row("MovingAverageScore", estimators.MovingAverageScore, {"decay": 0.5}, ok={"decay": "0"})
row("ImportanceScore", estimators.ImportanceScore, {"scale": 1.25}, ok={"scale": NUMBER})
row("MeasureValued", estimators.MeasureValued, {"coupled": False})
row(
    "sample_gradients",
    estimators.sample_gradients,
    {"estimator": "pathwise", "cost": own, "mu": M2, "sigma": S2, "n_draws": 4, "rng": gen(0)},
    ok=LOC,
)
row(
    "exact_moments",
    estimators.exact_moments,
    {"estimator": "score-moving-average", "cost": quad, "mu": M2, "sigma": S2, "n_draws": 4},
    ok=LOC | {"n_draws": "None"},
)
row(
    "variance_crossings",
    estimators.variance_crossings,
    {
        "costs": estimators.Exponential,
        "mu": 1.0,
        "sigma": 1.0,
        "low": 0.5,
        "high": 2.0,
        "estimators": ("score", "pathwise"),
        "n_grid": 3,
    },
    names={"costs": ("costs", "cost"), "low": ("low", "k"), "estimators": ("estimators", "estimator")},
    ok={"mu": "0|-1|1.5|10**12", "sigma": "1.5|10**12", "low": "0|1.5", "high": "1.5|10**12|10**30"},
)
row(
    "elbo_gradient_moments",
    estimators.elbo_gradient_moments,
    {"model": lg, "x": X3, "mu": MU, "log_var": LV, "objective": mv.Elbo("score"), "baseline": 0.5, "n_group": 2},
    ok={
        "x": ROWS_.replace("long|", ""),
        "mu": REAL,
        "log_var": REAL,
        "objective": "None",
        "baseline": "list|big-endian|0|-1|1.5|10**12|0-d|3-d|deeper|integers|float16|other float",
    },
    names={"x": ("x", "mu")},
)
row(
    "elbo_gradient_moments",
    estimators.elbo_gradient_moments,
    {
        "model": lg,
        "x": X3,
        "mu": MU,
        "log_var": LV,
        "objective": mv.Elbo("score"),
        "baseline": np.zeros((4, 2, 2)),
        "n_group": 2,
    },
    ok={
        "x": ROWS_.replace("long|", ""),
        "mu": REAL,
        "log_var": REAL,
        "objective": "None",
        "baseline": REAL + "|0|-1|1.5|10**12|0-d|3-d",
    },
    names={"x": ("x", "mu")},
)
row("leave_one_out", estimators.leave_one_out, {"f": Q}, inner=True, ok={"f": REAL + "|wide|long"})
row("leave_one_out_signal", estimators.leave_one_out_signal, {"f": Q}, inner=True, ok={"f": REAL + "|wide|long"})
row(
    "optimal_baseline",
    estimators.optimal_baseline,
    {"f": Q, "score": EPS},
    ok={"f": REAL, "score": REAL + "|wide"},
)
row(
    "summarize",
    estimators.summarize,
    {"rows": Q, "exact": estimators.Moments(np.zeros(3), np.ones(3)), "n_group": 1, "kurtosis": np.full(3, 3.0)},
    ok={
        "rows": REAL + "|long",
        "exact": "None",
        "kurtosis": REAL + "|None|1.5|10**12|10**30|nan|inf|NaN in it|inf in it",
    },
    names={"rows": ("rows", "kurtosis")},
)
row("RunningMoments", estimators.RunningMoments, {"n_group": 2})
row(
    "RunningMoments.add",
    lambda rows: estimators.RunningMoments().add(rows),
    {"rows": Q},
    ok={"rows": REAL + "|wide|long|3-d|deeper"},
)
ran = estimators.RunningMoments()
ran.add(Q)
row("RunningMoments.side_by_side", estimators.RunningMoments.side_by_side, {"parts": [ran, ran]})
row(
    "BernoulliExpectation",
    estimators.BernoulliExpectation,
    {"phi": np.array([0.5, -1.0]), "f": np.arange(4.0)},
    ok={"phi": REAL, "f": REAL},
)
be = estimators.BernoulliExpectation(np.array([0.5, -1.0]), np.arange(4.0))
row("BernoulliExpectation.score", be.score, {"baseline": 0.5}, ok={"baseline": "0|-1|1.5|10**12|10**30|0-d"})
row(
    "BernoulliExpectation.score",
    be.score,
    {"baseline": np.array([0.5, 1.0])},
    ok={"baseline": REAL + "|0|-1|1.5|10**12|10**30|0-d"},
)
row("BernoulliExpectation.leave_one_out", be.leave_one_out, {"n_draws": 3})
form = estimators.QuadraticForm(0.5, [1.0, -1.0], [[0.5, 1.0], [0.0, 0.25]])
SIGNED = "0|-1|" + NUMBER
row(
    "QuadraticForm",
    estimators.QuadraticForm,
    {"a": 0.5, "c": form.c, "Q": form.Q},
    ok={"a": SIGNED, "c": REAL, "Q": REAL},
    names={"c": ("c", "Q")},
)
row("QuadraticForm.value", form.value, {"z": DY}, inner=True, ok={"z": "long|other float"})
row("QuadraticForm.gradient", form.gradient, {"z": DY}, inner=True, ok={"z": "long|other float"})
row("squared_distance", estimators.squared_distance, {"t": 0.45}, ok={"t": SIGNED})
CODE = {"cost": form, "posterior": b, "head": np.array([0.5, -1.0])}
OWN = {"head": REAL, "temperature": "None|" + NUMBER, "baseline": SIGNED + "|0-d", "eps": REAL + "|long"}
row(
    "code_gradients",
    estimators.code_gradients,
    {"estimator": "score", **CODE, "eps": U[0], "baseline": 0.5},
    ok=OWN,
)
row(
    "code_gradients", estimators.code_gradients, {"estimator": "rebar", **CODE, "eps": U[0], "temperature": 0.5}, ok=OWN
)
row("code_moments", estimators.code_moments, {"estimator": "score-leave-one-out", **CODE, "n_draws": 2}, ok=OWN)
row(
    "gumbel_softmax_slope",
    estimators.gumbel_softmax_slope,
    {"cost": estimators.squared_distance(0.45), "head": [0.5]},
    ok=OWN,
)
row("BernoulliExpectation.vimco", be.vimco, {"n_draws": 3})
row("BernoulliExpectation.arm", be.arm, {})
row("BernoulliExpectation.disarm", be.disarm, {})

vae = mv.VAE.mlp(4, 2, [3], "tanh")
vbits = mv.VAE.mlp(4, 2, [3], "tanh", posterior="bits")
ae = mv.Autoencoder.mlp(4, 2, [3], "tanh", "bernoulli", models.MaskingNoise(0.5))
sparse = mv.Autoencoder.mlp(4, 2, [3], "tanh", penalty=models.KLSparsity(0.5))
pv, pb, pa, ps = (m.init(gen(0)) for m in (vae, vbits, ae, sparse))
terms = vae.terms(pv, X, rng=gen(0))
aterms = ae.terms(pa, X)
draws = estimators.Draws(Q, Q, Q, np.full(Q.shape, 0.2))
row(
    "Elbo",
    mv.Elbo,
    {"estimator": "score", "beta": 0.5, "kl": "sampled"},
    ok={"estimator": "None", "kl": "None", "beta": "0|" + NUMBER},
)
row("Elbo", mv.Elbo, {"estimator": "rebar", "temperature": 0.3}, ok={"temperature": "None|" + NUMBER})
warmup, cycle = estimators.Warmup(4), estimators.Cycle(4)
row("Elbo", mv.Elbo, {"beta": warmup, "free_bits": 0.5}, ok={"beta": "0|" + NUMBER, "free_bits": "0|" + NUMBER})
ends = {"start": "0|" + NUMBER, "final": "0|" + NUMBER}
row("Warmup", estimators.Warmup, {"n_epochs": 4, "start": 0.5, "final": 2.0}, ok=ends)
row("Cycle", estimators.Cycle, {"period": 4, "ramp": 0.5, "start": 0.5, "final": 2.0}, ok=ends)
row("Warmup.at", warmup.at, {"epoch": 3}, ok={"epoch": "0|" + NUMBER.replace("1.5|", "")})
row("Cycle.at", cycle.at, {"epoch": 3}, ok={"epoch": "0|" + NUMBER.replace("1.5|", "")})
free = vae.terms(pv, X, rng=gen(0), objective=mv.Elbo(free_bits=0.5))
row("Elbo.kl_share", mv.Elbo(free_bits=0.5).kl_share, {"terms": free})
row("ElboTerms.latent_means", free.latent_means, {})
row(
    "ElboTerms.loss", free.loss, {"beta": 0.5, "free_bits": 0.5}, ok=dict.fromkeys(("beta", "free_bits"), "0|" + NUMBER)
)
MODEL = {"names": {"model": ("model", "objective", "estimator")}}
for objective, model in ((mv.Elbo(), vae), (mv.Reconstruction(), ae)):
    name = type(objective).__name__
    settled = objective.resolved(model)
    t = terms if name == "Elbo" else aterms
    row(f"{name}.resolved", objective.resolved, {"model": model})
    row(f"{name}.check", settled.check, {"model": model, "n_draws": 2}, unused="model" if name == "Elbo" else "")
    row(f"{name}.usual_draws", objective.usual_draws, {"model": model}, unused="" if name == "Elbo" else "model")
    row(f"{name}.at", objective.at, {"epoch": 3}, unused="epoch")
    row(f"{name}.loss", objective.loss, {"terms": t})
    row(f"{name}.signal", settled.signal, {"terms": t})
    row(f"{name}.rule", settled.rule, {"model": model}, unused="model")
ksample = mv.KSampleBound("iwae")
kterms = vae.terms(pv, X, rng=gen(0), objective=ksample)
row("KSampleBound", mv.KSampleBound, {"estimator": "iwae"}, ok={"estimator": "None"})
row("KSampleBound.resolved", mv.KSampleBound().resolved, {"model": vae}, **MODEL)
row("KSampleBound.check", ksample.check, {"model": vae, "n_draws": 2}, unused="model")
row("KSampleBound.usual_draws", mv.KSampleBound().usual_draws, {"model": vae}, **MODEL)
row("KSampleBound.loss", ksample.loss, {"terms": kterms})
row("KSampleBound.signal", ksample.signal, {"terms": kterms})
row("KSampleBound.rule", ksample.rule, {"model": vae})
row(
    "KSampleBound.weights",
    mv.KSampleBound("iwae-score").weights,
    {"draws": draws, "baseline": 0.5},
    inner=True,
    ok={"baseline": "0|-1|1.5|10**12|10**30|0-d"},
)
row("KSampleTerms.means", kterms.means, {})
row("Elbo.kl_share", mv.Elbo().kl_share, {"terms": terms})
row("Elbo.rule", mv.Elbo("score-learned").rule, {"model": vae})
row("Reconstruction", mv.Reconstruction, {})
row(
    "Elbo.weights",
    mv.Elbo("score").weights,
    {"draws": draws, "baseline": 0.5},
    ok={"baseline": "0|-1|1.5|10**12|10**30|0-d"},
    inner=True,
)
row(
    "Elbo.weights",
    mv.Elbo("score").weights,
    {"draws": draws, "baseline": np.array([0.5, 1.0, 2.0])},
    inner=True,
    ok={"baseline": REAL + "|0|-1|1.5|10**12|10**30|0-d"},
)
row("ElboTerms.loss", terms.loss, {"beta": 0.5}, ok={"beta": "0|-1|1.5|10**12|10**30"})
row("ElboTerms.means", terms.means, {})
row("ReconstructionTerms.means", aterms.means, {})
row("ReconstructionTerms.loss", aterms.loss, {})
ma = estimators.MovingAverage(0.5)
lb = estimators.LearnedBaseline.mlp(4, [3])
row("MovingAverage", estimators.MovingAverage, {"decay": 0.5, "debias": False}, ok={"decay": "0"})
row("LearnedBaseline", estimators.LearnedBaseline, {"network": lb.network, "optimizer": nn.SGD(0.5), "average": ma})
row(
    "LearnedBaseline.mlp",
    estimators.LearnedBaseline.mlp,
    {"n_x": 4, "n_hidden": [3], "activation": "tanh"},
    ok={"n_hidden": "[]|empty"},
)
for rule in (ma, lb):
    name = type(rule).__name__
    state = rule.init(gen(0))
    rule.update(state, X, np.array([0.5, 1.0, 1.5]))
    row(
        f"{name}.init",
        rule.init,
        {"rng": gen(0), "dtype": np.float32},
        unused="rng" if name == "MovingAverage" else "",
    )
    row(
        f"{name}.predict",
        rule.predict,
        {"state": state, "x": R},
        inner=True,
        asis="state",
        ok={
            "x": (
                ANY + "|[]|{}|ragged|''|'x'|b'x'|empty|3-d|deeper|integers|complex|objects|strings|array of None"
                if name == "MovingAverage"
                else "long"
            )
        },
    )
    row(
        f"{name}.update",
        rule.update,
        {"state": state, "x": R, "f": np.array([0.5, 1.0, 1.5])},
        inner=True,
        names={"x": ("x", "f")},
        asis="state",
        writes="state",
        unused="x" if name == "MovingAverage" else "",
        ok={"f": ("wide|long|" if name == "MovingAverage" else "") + "other float|float16|deeper|3-d"},
    )
control_net = estimators.ControlNetwork(2, 4, 3)
row("ControlNetwork", estimators.ControlNetwork, {"n_y": 2, "n_x": 4, "n_hidden": 3})
LEARNT = {"network": "None"}
row("ControlNetwork.init", control_net.init, {"rng": gen(0), "dtype": np.float32}, ok={})
learnt = estimators.LearnedControl(control_net)
row(
    "LearnedControl",
    estimators.LearnedControl,
    {"network": control_net, "optimizer": nn.SGD(0.5)},
    ok={"network": "None"},
)
row("LearnedControl.init", learnt.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row(
    "LearnedControl.predict",
    learnt.predict,
    {"state": learnt.init(gen(0)), "x": R},
    inner=True,
    asis="state",
    ok={"x": "long|other float"},
)
nvil = estimators.NormalisedBaseline.mlp(4, [3])
row(
    "NormalisedBaseline",
    estimators.NormalisedBaseline,
    {"network": nvil.network, "optimizer": nn.SGD(0.5), "average": ma},
)
row("NormalisedBaseline.init", nvil.init, {"rng": gen(0), "dtype": np.float32}, ok={})
row(
    "NormalisedBaseline.predict",
    nvil.predict,
    {"state": nvil.init(gen(0)), "x": R},
    inner=True,
    asis="state",
    ok={"x": "long"},
)
row(
    "NormalisedBaseline.update",
    nvil.update,
    {"state": nvil.init(gen(0)), "x": R, "f": np.array([0.5, 1.0, 1.5])},
    inner=True,
    names={"x": ("x", "f")},
    asis="state",
    writes="state",
    ok={"f": "other float|float16|deeper|3-d"},
)
row(
    "LearnedBaseline.loss_and_grad",
    lb.loss_and_grad,
    {
        "params": lb.network.init(gen(0)),
        "x": R,
        "target": np.array([0.5, 1.0, 1.5]),
        "grads": np.zeros(lb.network.n_params),
    },
    inner=True,
    writes="grads",
    ok={"target": "other float"},
)

# ------------------------------------------------------------------------------------------------------ models

row(
    "belief_network",
    models.belief_network,
    {"n_x": 4, "n_latent": 2, "n_upper": 3, "n_hidden": [3], "activation": "tanh", "likelihood": "bernoulli"},
    ok={"n_upper": "None", "likelihood": "None", "n_hidden": "[]|empty"},
)
row(
    "VAE",
    mv.VAE,
    {"encoder": vae.encoder, "posterior": q, "decoder": vae.decoder, "likelihood": vae.likelihood, "prior": vae.prior},
    ok={"prior": "None"},
)
row(
    "VAE.mlp",
    mv.VAE.mlp,
    {
        "n_x": 4,
        "n_latent": 2,
        "n_hidden": [3],
        "activation": "tanh",
        "likelihood": "gaussian",
        "posterior": "diagonal",
        "prior": distributions.StandardNormal(2),
    },
    ok={"n_hidden": "[]|empty", "likelihood": "None", "prior": "None"},
)
row(
    "VAE.mlp",
    mv.VAE.mlp,
    {"n_x": 4, "n_latent": 2, "n_hidden": [3], "prior": "mixture", "n_components": 3},
    ok={"n_hidden": "[]|empty", "n_components": "None"},
)
row(
    "Autoencoder",
    mv.Autoencoder,
    {
        "encoder": sparse.encoder,
        "decoder": sparse.decoder,
        "likelihood": sparse.likelihood,
        "corruption": ae.corruption,
        "penalty": sparse.penalty,
    },
    ok={"corruption": "None", "penalty": "None"},
)
row(
    "Autoencoder.mlp",
    mv.Autoencoder.mlp,
    {
        "n_x": 4,
        "n_latent": 2,
        "n_hidden": [3],
        "activation": "tanh",
        "likelihood": "gaussian",
        "corruption": ae.corruption,
        "penalty": models.L1Sparsity(),
    },
    ok={"n_hidden": "[]|empty", "likelihood": "None", "corruption": "None", "penalty": "None"},
)


def networks_of(n_head, n_latent, likelihood):
    return nn.mlp([4, n_head]), nn.mlp([n_latent, likelihood.n_out(4)]), likelihood


of = {"networks": networks_of, "n_latent": 2, "likelihood": "gaussian"}
row("VAE.of", mv.VAE.of, of | {"posterior": "diagonal", "prior": "normal"}, ok={"likelihood": "None", "prior": "None"})
row(
    "VAE.of",
    mv.VAE.of,
    of | {"posterior": "diagonal", "prior": "mixture", "n_components": 3},
    ok={"likelihood": "None", "n_components": "None"},
)
row(
    "Autoencoder.of",
    mv.Autoencoder.of,
    of | {"corruption": ae.corruption, "penalty": models.L1Sparsity()},
    ok={"likelihood": "None", "corruption": "None", "penalty": "None"},
)
row(
    "convolutional",
    models.convolutional,
    {
        "shape": (1, 4, 4),
        "n_head": 4,
        "n_latent": 2,
        "likelihood": mv.Bernoulli(),
        "channels": [2],
        "activation": "tanh",
    },
    ok={"channels": "[]|empty"},
)
row(
    "recurrent",
    models.recurrent,
    {
        "cell": "gru",
        "n_steps": 2,
        "n_features": 2,
        "n_head": 4,
        "n_latent": 2,
        "likelihood": mv.Bernoulli(),
        "n_units": 3,
        "ragged": True,
        "bidirectional": True,
    },
)
words = models.SequenceVAE.recurrent(2, 2, 2, n_units=3, word_dropout=0.5)
words_theta = words.init(gen(0))
row(
    "SequenceVAE.recurrent",
    models.SequenceVAE.recurrent,
    {
        "n_steps": 2,
        "n_features": 2,
        "n_latent": 2,
        "n_units": 3,
        "cell": "gru",
        "likelihood": "bernoulli",
        "ragged": True,
        "word_dropout": 0.5,
    },
    ok={"likelihood": "None", "word_dropout": "0|True"},
)
row(
    "SequenceVAE.training_noise",
    words.training_noise,
    {"rng": gen(0), "n_draws": 2, "n_batch": 3, "dtype": np.float32},
    ok={},
)
row(
    "VAE.training_noise",
    vae.training_noise,
    {"rng": gen(0), "n_draws": 2, "n_batch": 3, "dtype": np.float32},
    ok={},
)
E3, EB, EA = rng.standard_normal((2, 3, 2)), rng.random((2, 3, 2)), rng.random((2, 3, 4))
EPSOK = "long|float16|other float"
for model, params, eps in ((vae, pv, E3), (vbits, pb, EB), (ae, pa, EA), (sparse, ps, None)):
    name = type(model).__name__
    vari = name == "VAE"
    px = {"params": params, "x": X}
    both = {"x": ("x", "eps"), "eps": ("eps", "weights")}
    XOK = {"x": ROWS_}
    XSAME = {"x": ROWS_.replace("long|", "")}  # as many rows as eps
    row(
        "EncoderDecoder.init",
        model.init,
        {"rng": gen(0), "dtype": np.float32, "x": X},
        ok={"dtype": "class", "x": "None|" + ROWS_},
    )
    row("EncoderDecoder.named", model.named, {"params": params}, inner=True, ok={"params": "other float"})
    if vari:
        row("VAE.prior_params", model.prior_params, {"params": params}, inner=True, ok={"params": "complex"})
    row("EncoderDecoder.unpack", model.unpack, {"params": params}, inner=True, ok={"params": "complex"})
    row(
        "EncoderDecoder.check_data",
        model.check_data,
        {"x": X, "name": "x", "dtype": np.dtype(np.float32)},
        ok={"x": ROWS_, "name": "''|'x'", "dtype": "None|class"},
        asis="name",
    )
    row("EncoderDecoder.decode", model.decode, {"params": params, "z": Z}, ok={"z": ROWS_})
    for method in ("embed", "reconstruct", "says") + (("encode",) if vari else ()):
        row(f"{name}.{method}", getattr(model, method), px, ok=XOK)
    row(f"{name}.seen", model.seen, {"x": X, "rng": gen(0)}, ok=XOK, unused="" if model is ae else "rng")
    row(f"{name}.meaning", model.meaning, {"x": X}, ok=XOK)
    row(
        f"{name}.draw_noise",
        model.draw_noise,
        {"rng": gen(0), "n_draws": 2, "n_batch": 3, "dtype": np.float32},
        unused="rng n_draws n_batch dtype" if model is sparse else "",
    )
    grads = np.zeros_like(params)
    how = {"objective": mv.Elbo("score") if vari else mv.Reconstruction()}
    step = (
        px | {"eps": eps, "grads": grads, **how} | ({"weights": np.array([0.5, 0.5]), "baseline": 0.5} if vari else {})
    )
    row(
        f"{name}.loss_and_grad",
        model.loss_and_grad,
        step,
        inner=True,
        writes="grads",
        unused="eps" if model is sparse else "",
        ok=XSAME
        | {
            "objective": "None",
            "eps": EPSOK,
            "weights": "None|float16|other float",
            "baseline": "0|-1|1.5|10**12|10**30|0-d",
        }
        | ({"x": ROWS_} if eps is None else {}),
    )
    row(
        f"{name}.trace",
        model.trace,
        px | {"eps": eps} | ({"objective": mv.Elbo()} if vari else {}),
        inner=True,
        unused="eps" if model is sparse else "",
        ok={"x": ROWS_, "eps": EPSOK, "objective": "None"},
    )
    row(
        f"{name}.quantities",
        model.quantities,
        px | {"seed": 3, "n_draws": 2},
        ok=XOK | {"n_draws": "None", "seed": "0|10**12"},
        unused="" if vari else "n_draws" if model is ae else "seed n_draws",
    )
    if vari:
        evaluated = px | {"eps": eps, "objective": mv.Elbo(), "weights": np.array([0.5, 0.5])}
        tok = XSAME | {"eps": EPSOK, "objective": "None", "weights": "None|float16|other float"}
        row("VAE.terms", model.terms, evaluated, ok=tok, names=both)
        row("VAE.terms", model.terms, px | {"rng": gen(0), "n_draws": 2}, ok=XOK)
        row("VAE.elbo", model.elbo, evaluated, ok=tok, names=both)
        row("VAE.sample", model.sample, {"params": params, "n": 3, "rng": gen(0), "mean": True})
        row("VAE.draw", model.draw, px | {"eps": eps}, inner=True, ok={"eps": EPSOK + "|None", "x": "big-endian"})
        row(
            "log_weights",
            models.log_weights,
            {"model": model} | px | {"eps": eps},
            ok=XSAME | {"eps": EPSOK},
            names=both,
        )
        row(
            "iwae_bound", models.iwae_bound, {"model": model} | px | {"eps": eps}, ok=XSAME | {"eps": EPSOK}, names=both
        )
        estimate = {"model": model} | px | {"n_draws": 2, "rng": gen(0), "proposal": "prior"}
        row("log_marginal", models.log_marginal, estimate, ok=XOK)
        if model.posterior.has_path:
            anneal = {"model": model} | px | {"n_temperatures": 2, "rng": gen(0), "n_chains": 2, "n_leapfrog": 2}
            row("annealed_log_marginal", models.annealed_log_marginal, anneal, ok=XOK)
        row(
            "encoder_draws",
            models.encoder_draws,
            {"model": model} | px | {"eps": eps},
            ok=XSAME | {"eps": EPSOK},
            names=both,
        )
    else:
        row(
            "Autoencoder.terms",
            model.terms,
            px | {"eps": eps if eps is not None else EA, **how},
            names=both,
            ok=XSAME | {"eps": EPSOK + "|None", "objective": "None"},
        )
row(
    "near",
    models.near,
    {"model": vae, "params": pv, "x": X, "n_draws": 2, "rng": gen(0), "mean": False},
    ok={"x": ROWS_},
)
row("near", models.near, {"model": vae, "params": pv, "x": X, "eps": E3}, ok={"x": ROWS_, "eps": EPSOK}, names=both)
row(
    "interpolate",
    models.interpolate,
    {"a": R, "b": R[::-1].copy(), "n": 3, "spherical": True},
    ok={"a": REAL, "b": REAL},
)
row(
    "attribute_direction",
    models.attribute_direction,
    {"z": R, "has": np.array([True, False, True])},
    ok={"z": REAL + "|wide"},
)
row(
    "with_attribute",
    models.with_attribute,
    {"model": vae, "params": pv, "x": X, "direction": np.array([0.5, 1.0]), "strength": 0.5},
    ok={"x": ROWS_, "direction": REAL, "strength": "0|-1|" + NUMBER},
)
coupled = models.regularised_autoencoder(4, 2, 0.5, 0.2, [3])
row(
    "coupling_terms",
    models.coupling_terms,
    {"model": coupled, "params": coupled.init(gen(0)), "x": R, "eps": E3, "weights": np.array([0.25, 0.75])[: len(E3)]},
    ok={"x": "float16|other float", "eps": EPSOK, "weights": "None|integers|other float|float16"},
    names=both,
)
row(
    "regularised_autoencoder",
    models.regularised_autoencoder,
    {"n_x": 4, "n_latent": 2, "sigma_f": 0.5, "sigma_g": 0.25, "n_hidden": [3], "activation": "tanh"},
    ok={"sigma_f": NUMBER, "sigma_g": NUMBER, "n_hidden": "[]|empty"},
)
row("VAE.log_prob", vbits.log_prob, {"params": pb, "x": X}, ok={"x": ROWS_})
row("encoder_states", models.encoder_states, {"model": vbits, "params": pb, "x": X}, ok={"x": ROWS_})
encoder_draws = models.encoder_draws(vae, pv, X, E3)
row("EncoderDraws.at", encoder_draws.at, {"eps": E3}, ok={"eps": EPSOK})
row("EncoderDraws.values", encoder_draws.values, {"objective": mv.Elbo()}, ok={"objective": "None"})
row(
    "EncoderDraws.rows",
    encoder_draws.rows,
    {"objective": mv.Elbo("score"), "baseline": 0.5, "n_group": 1},
    ok={"objective": "None", "baseline": "0|-1|1.5|10**12|10**30|0-d", "n_group": "None"},
)
row(
    "EncoderEstimator",
    models.EncoderEstimator,
    {"objective": mv.Elbo("score"), "baseline": 0.5, "n_group": 2},
    ok={"baseline": "0|-1|1.5|10**12|10**30|list|big-endian|" + REAL + "|" + SHAPES + "|[]|empty"},
)
row(
    "head_moments",
    models.head_moments,
    {
        "model": vae,
        "params": pv,
        "x": X,
        "estimators": {"score": models.EncoderEstimator(mv.Elbo("score"))},
        "n_draws": 4,
        "rng": gen(0),
    },
    ok={"x": ROWS_},
)
row("jacobian", models.jacobian, {"encoder": tiny, "params": tiny_theta, "x": R}, ok={"x": ROWS_})
row("Contraction", models.Contraction, {"weight": 0.5}, ok={"weight": "0|" + NUMBER})
row("L1Sparsity", models.L1Sparsity, {"weight": 0.5}, ok={"weight": "0|" + NUMBER})
row("KLSparsity", models.KLSparsity, {"target": 0.5, "weight": 0.5}, ok={"weight": "0|" + NUMBER})
for penalty in (models.Contraction(), models.L1Sparsity(), models.KLSparsity()):
    name = type(penalty).__name__
    encoder = sparse.encoder
    row(
        f"{name}.check" if name != "L1Sparsity" else "_Sparsity.check",
        penalty.check,
        {"encoder": encoder},
        unused="encoder" if name == "L1Sparsity" else "",
    )
    mean = np.array([0.25, 0.5]) if name == "KLSparsity" else np.array([0.25])
    mok = {"mean": "other float|float16|wide|long|integers"}
    row(f"{name}.value", penalty.value, {"mean": mean}, inner=True, ok=mok)
    row(f"{name}.slope", penalty.slope, {"mean": mean}, inner=True, ok=mok)
row("GaussianNoise", models.GaussianNoise, {"std": 0.5}, ok={"std": "0|" + NUMBER})
row("MaskingNoise", models.MaskingNoise, {"fraction": 0.5}, ok={"fraction": "0"})
row(
    "SaltAndPepperNoise",
    models.SaltAndPepperNoise,
    {"fraction": 0.5, "low": 0.25, "high": 0.75},
    ok={"fraction": "0", "low": "0|-1", "high": NUMBER},
    names={"low": ("low", "high")},
)
for corruption in (models.GaussianNoise(), models.MaskingNoise(0.5), models.SaltAndPepperNoise(0.5)):
    name = type(corruption).__name__
    shape = {"rng": gen(0), "shape": (2, 3, 4), "dtype": np.float32}
    row(
        "GaussianNoise.draw" if name == "GaussianNoise" else "_Uniform.draw", corruption.draw, shape, ok={"shape": "[]"}
    )
    row(
        f"{name}.apply",
        corruption.apply,
        {"x": X, "noise": EA},
        inner=True,
        ok={"x": "0-d|float16|other float", "noise": "long|empty|3-d|deeper|float16|other float"},
    )
row("_Fitting.fitting", models.MaskingNoise.fitting, {"x": X, "fraction": 0.5}, ok={"fraction": "0"}, unused="x")
row(
    "SaltAndPepperNoise.fitting",
    models.SaltAndPepperNoise.fitting,
    {"x": X, "fraction": 0.5},
    ok={"fraction": "0", "x": ANY},
    names={"x": ("x", "low", "high")},
)

# --------------------------------------------------------------------------------------------------- classical

x20 = rng.standard_normal((8, 3))
COV = np.cov(x20.T, bias=True)
lin = mv.LinearAutoencoder(3, 2)
pl = lin.init(gen(0))
pca = mv.PCA(2).fit(x20)
row("PCA", lambda **k: vars(mv.PCA(**k).fit(x20)), {"n_components": 2, "solver": "svd"}, ok={"n_components": "None"})
row("PCA.fit", lambda x: vars(mv.PCA(2).fit(x)), {"x": x20}, ok={"x": ANY})
row("PCA.fit_transform", mv.PCA(2).fit_transform, {"x": x20}, ok={"x": ANY})
row("PCA.transform", pca.transform, {"x": x20}, ok={"x": ROWS_})
row("PCA.inverse_transform", pca.inverse_transform, {"z": x20[:, :2]}, ok={"z": ROWS_})
row("covariance", classical.covariance, {"x": x20}, ok={"x": ANY})
row("eigenpairs", classical.eigenpairs, {"S": COV}, ok={"S": REAL})
row(
    "subspace_distance",
    classical.subspace_distance,
    {"a": x20[:2], "b": x20[2:4]},
    ok={"a": ROWS_, "b": ROWS_},
)
row("LinearAutoencoder", mv.LinearAutoencoder, {"n_x": 3, "n_latent": 2, "l2": 0.5}, ok={"l2": "0|" + NUMBER})
row("LinearAutoencoder.init", lin.init, {"rng": gen(0)})
row("LinearAutoencoder.unpack", lin.unpack, {"params": pl}, inner=True, ok={"params": "other float|complex"})
SOK = {"S": "integers|float16|other float"}
row("LinearAutoencoder.loss", lin.loss, {"params": pl, "S": COV}, inner=True, ok=SOK | {"params": "other float"})
row(
    "LinearAutoencoder.loss_and_grad",
    lin.loss_and_grad,
    {"params": pl, "S": COV, "grads": np.zeros_like(pl)},
    inner=True,
    ok=SOK,
    writes="grads",
)
row("LinearAutoencoder.optimum", lin.optimum, {"eigenvalues": np.array([4.0, 2.0, 0.5])}, ok={"eigenvalues": REAL})
row(
    "LinearAutoencoder.reconstruct",
    lin.reconstruct,
    {"params": pl, "centred": x20},
    ok={"centred": ROWS_, "params": "other float"},
)
row(
    "LinearAutoencoder.decoder_directions",
    lin.decoder_directions,
    {"params": pl},
    ok={"params": "other float"},
)
row("LinearAutoencoder.components", lin.components, {"params": pl, "S": COV}, ok=SOK | {"params": "other float"})
row(
    "descend",
    classical.descend,
    {
        "model": lin,
        "params": pl,
        "S": COV,
        "optimizer": nn.SGD(0.0625),
        "schedule": nn.StepDecay(),
        "n_steps": 3,
        "tolerance": 0.5,
    },
    ok=SOK | {"optimizer": "None", "schedule": "None", "tolerance": "0|" + NUMBER, "params": "other float"},
)
row(
    "lbfgs",
    classical.lbfgs,
    {"model": lin, "params": pl, "S": COV, "tolerance": 0.5},
    ok=SOK | {"tolerance": "0|" + NUMBER, "params": "other float"},
)
row(
    "power_iteration",
    classical.power_iteration,
    {"product": lambda v: COV @ v, "start": np.ones(3)},
    ok={"start": "integers|float16|other float"},
    skip={"product": "class", "start": "wide|long"},
)
row(
    "deflate",
    lambda product, values, vectors: classical.deflate(product, values, vectors)(np.ones(3)),
    {"product": lambda v: COV @ v, "values": np.array([4.0]), "vectors": np.array([[1.0, 0.0, 0.0]])},
    ok={
        "values": "integers|float16|other float",
        "vectors": "integers|float16|other float",
    },
    skip={"product": "class", "vectors": "wide"},
)
row(
    "power_components",
    classical.power_components,
    {"product": lambda v: COV @ v, "d": 3, "k": 2, "rng": gen(0)},
    ok={"rng": "None"},
    skip={"product": "class"},
)
row(
    "probabilistic_pca",
    classical.probabilistic_pca,
    {"x": x20, "n_latent": 2, "s2": 0.125},
    ok={"x": ANY, "s2": "None|" + NUMBER},
)
row(
    "ppca_optimum",
    classical.ppca_optimum,
    {"eigenvalues": np.array([4.0, 2.0, 0.5]), "n_latent": 2},
    ok={"eigenvalues": REAL + "|long|wide"},
)

two = classical.GaussianMixture(np.array([0.5, 0.5]), x20[:2], np.array([np.eye(3), np.eye(3)]))
r20 = two.responsibilities(x20)
row(
    "GaussianMixture",
    classical.GaussianMixture,
    {"weights": np.array([0.5, 0.5]), "means": x20[:2], "covariances": np.array([np.eye(3), np.eye(3)])},
    ok={"weights": REAL, "means": REAL, "covariances": REAL + "|long|wide"},
    skip={"weights": "integers", "covariances": "long|wide"},
)
for method in ("log_joint", "log_prob", "responsibilities"):
    row(f"GaussianMixture.{method}", getattr(two, method), {"x": x20}, ok={"x": ROWS_})
row("GaussianMixture.free_energy", two.free_energy, {"x": x20, "r": r20}, ok={"x": ROWS_, "r": REAL})
row("GaussianMixture.sample", two.sample, {"n": 4, "rng": gen(0)})
row(
    "m_step",
    classical.m_step,
    {"x": x20, "r": r20, "covariance": "full", "floor": 0.5},
    ok={"x": ANY, "r": REAL, "floor": "None|0|" + NUMBER},
)
row(
    "em",
    lambda x, start, floor: itertools.islice(classical.em(x, start, floor), 3),
    {"x": x20, "start": two, "floor": 0.5},
    ok={"x": ROWS_, "floor": "None|0|" + NUMBER},
)
FEW = {"n_starts": 2, "n_steps": 3, "tolerance": 0.5, "floor": 0.5}
row(
    "fit_mixture",
    classical.fit_mixture,
    {"x": x20, "n_components": 2, "rng": gen(0), "covariance": "full", **FEW},
    ok={"x": ANY, "tolerance": "0|" + NUMBER, "floor": "None|0|" + NUMBER},
)
row("k_means_plus_plus", classical.k_means_plus_plus, {"x": x20, "n_components": 2, "rng": gen(0)}, ok={"x": ANY})

PRIOR = classical.NormalGamma(0.25, 1.0, 2.0, 1.5)
unknown = classical.UnknownNormal(x20[:, 0], PRIOR)
regression = classical.BayesianLinear(x20[:, :2], x20[:, 2], 4.0, 0.5)
VALUES = REAL + "|long|wide"  # real numbers in one row of any length
row(
    "NormalGamma",
    classical.NormalGamma,
    {"mean": 0.25, "count": 1.0, "shape": 2.0, "rate": 1.5},
    ok={"mean": "0|-1|" + NUMBER, "count": NUMBER, "shape": NUMBER, "rate": NUMBER},
)
row("NormalGamma.given", PRIOR.given, {"x": x20[:, 0]}, ok={"x": VALUES})
row("UnknownNormal", classical.UnknownNormal, {"x": x20[:, 0], "prior": PRIOR}, ok={"x": VALUES})
row(
    "BayesianLinear",
    classical.BayesianLinear,
    {"features": x20[:, :2], "y": x20[:, 2], "noise": 4.0, "prior": 0.5},
    ok={"features": REAL + "|wide", "y": REAL, "noise": NUMBER, "prior": NUMBER},
    skip={"features": "long"},  # y is short then
)
for name, density in (("NormalGamma", PRIOR), ("UnknownNormal", unknown), ("BayesianLinear", regression)):
    for method in ("log_prob" if name == "NormalGamma" else "log_joint", "slope", "curvature"):
        row(f"{name}.{method}", getattr(density, method), {"z": Z}, inner=True, ok={"z": "long"})
row(
    "cavi_linear",
    lambda model, start: itertools.islice(classical.cavi_linear(model, start), 3),
    {"model": regression, "start": np.ones(2)},
    ok={"start": "None|" + REAL},
)
row(
    "cavi_normal",
    lambda model, rate: itertools.islice(classical.cavi_normal(model, rate), 3),
    {"model": unknown, "rate": 1.0},
    ok={"rate": NUMBER},
)
for call, model in (
    (classical.mean_field_linear, regression),
    (classical.cavi_linear_rate, regression),
    (classical.mean_field_normal, unknown),
    (classical.cavi_normal_rate, unknown),
):
    row(call.__name__, call, {"model": model})

GRID = np.linspace(-4.0, 4.0, 33)
HILL = -((GRID - 0.5) ** 2)
Q = np.exp(-np.abs(GRID))
row(
    "functional_elbo",
    classical.functional_elbo,
    {"q": Q, "log_joint": HILL, "cell": 0.25},
    ok={"q": REAL, "log_joint": REAL, "cell": NUMBER},
)
row(
    "functional_derivative",
    classical.functional_derivative,
    {"q": Q, "log_joint": HILL},
    ok={"log_joint": REAL, "q": REAL},
)
row(
    "free_form_optimum",
    classical.free_form_optimum,
    {"log_joint": HILL, "cell": 0.25},
    ok={"log_joint": REAL + "|3-d|deeper|wide|long", "cell": NUMBER},
)
row(
    "free_form_ascent",
    lambda q, log_joint, cell, step: itertools.islice(classical.free_form_ascent(q, log_joint, cell, step), 3),
    {"q": Q, "log_joint": HILL, "cell": 0.25, "step": 0.5},
    ok={"q": REAL, "log_joint": REAL, "cell": NUMBER, "step": "1.5"},
    skip={"q": "integers"},
)
PLANE = HILL[::4, None] + HILL[None, ::8]
row(
    "mean_field_ascent",
    lambda a, b, log_joint, cells, step: itertools.islice(
        classical.mean_field_ascent([a, b], log_joint, cells, step), 3
    ),
    {"a": Q[::4], "b": Q[::8], "log_joint": PLANE, "cells": np.array([1.0, 2.0]), "step": 0.5},
    ok={"a": REAL, "b": REAL, "log_joint": REAL, "cells": REAL, "step": "1.5"},
    names={"log_joint": ("log_joint", "factors"), "a": ("factors",), "b": ("factors",)},
    skip={"a": "integers", "b": "integers"},
)
row(
    "gaussian_ascent",
    lambda **k: itertools.islice(classical.gaussian_ascent(**k), 3),
    {"z": GRID, "log_joint": HILL, "mean": 0.25, "variance": 0.5, "step": 0.5},
    ok={"z": "float16|other float", "log_joint": REAL, "mean": "0|-1|1.5", "step": "1.5"},
    names={"mean": ("mean", "z"), "variance": ("variance", "z"), "log_joint": ("log_joint", "z")},
)
row(
    "decoder_joint",
    classical.decoder_joint,
    {"decode": lambda z: 2.0 * z, "x": np.array([0.5]), "variance": 0.5, "z": GRID},
    ok={"x": REAL, "variance": NUMBER, "z": REAL + "|long|wide"},
    names={"x": ("x", "decode"), "z": ("z", "decode")},
    skip={"decode": "class"},
)

chained = classical.random_walk(regression, Z, 0.5, 20, gen(0)).draws
row("split_r_hat", classical.split_r_hat, {"draws": chained}, ok={"draws": REAL + "|wide|long"})
row("effective_sample_size", classical.effective_sample_size, {"draws": chained}, ok={"draws": REAL + "|wide|long"})
row(
    "random_walk",
    classical.random_walk,
    {"joint": regression, "start": Z, "step": 0.5, "n_draws": 20, "rng": gen(0)},
    ok={"start": REAL + "|long", "step": "1.5"},
)
row(
    "leapfrog",
    classical.leapfrog,
    {"joint": regression, "z": Z, "momentum": Z, "step": 0.125, "n_steps": 3},
    inner=True,
    ok={"step": NUMBER},
)
row(
    "hamiltonian",
    classical.hamiltonian,
    {"joint": regression, "start": Z, "step": 0.125, "n_leapfrog": 3, "n_draws": 20, "rng": gen(0)},
    ok={"start": REAL + "|long"},
    skip={"step": "1.5|10**12|10**30"},  # no move is accepted, which is said
)
row(
    "laplace",
    classical.laplace,
    {"joint": unknown, "start": np.array([0.5, 0.25]), "n_steps": 30, "tolerance": 0.5},
    ok={"start": REAL, "tolerance": NUMBER},
)
full_head = np.array([0.5, -0.25, 0.0, 0.25, 0.5])
row(
    "sgvb_gradient",
    classical.sgvb_gradient,
    {"joint": unknown, "head": full_head, "eps": Z, "estimator": "path", "covariance": "full"},
    ok={"head": REAL, "eps": REAL + "|long"},
)
row(
    "sgvb",
    classical.sgvb,
    {
        "joint": unknown,
        "rng": gen(0),
        "estimator": "path",
        "covariance": "full",
        "n_steps": 3,
        "n_draws": 4,
        "optimizer": nn.Adam(0.05),
    },
    ok={"optimizer": "None"},
)

SHARES = np.array([0.5, 0.25, 0.25])
row(
    "empirical_distribution",
    classical.empirical_distribution,
    {"x": np.array([0, 2, 1, 2]), "n_values": 4},
    ok={"x": "long|wide"},
)
row("entropy", classical.entropy, {"p": SHARES}, ok={"p": REAL + "|3-d|deeper"})
for call in (classical.cross_entropy, classical.kl_divergence):
    row(call.__name__, call, {"p": SHARES, "q": SHARES[::-1].copy()}, ok={"p": REAL, "q": REAL}, skip={"q": "integers"})
row(
    "kl_from_samples",
    classical.kl_from_samples,
    {"log_p": x20[:, 0], "log_q": x20[:, 1]},
    ok={"log_p": REAL, "log_q": REAL},
)
row(
    "expected_fit_error",
    classical.expected_fit_error,
    {"S": COV, "n": 20, "model_class": "full"},
    ok={"S": REAL},
)
row(
    "fit_errors",
    classical.fit_errors,
    {"S": COV, "n": 20, "model_class": "full", "n_fits": 2, "rng": gen(0)},
    ok={"S": REAL},
)

# ------------------------------------------------------------------------------------------- data and training

place = Path(tempfile.mkdtemp())
np.save(place / "x.npy", (rng.random((20, 4)) < 0.5).astype(np.float32))
row("load", datasets.load, {"name": "digits-grey"}, names={"name": ("data", "name")})
row("names", datasets.names, {})
BLANK = np.zeros((2, 64), np.float32)
row("add_stroke", datasets.add_stroke, {"x": BLANK}, ok={"x": ROWS_})
row("has_stroke", datasets.has_stroke, {"x": BLANK}, ok={"x": ROWS_})
row("sines", datasets.sines, {"n": 3, "rng": gen(0), "ragged": True})
row("data_folders", datasets.data_folders, {})
row(
    "load_file",
    datasets.load_file,
    {"path": str(place / "x.npy"), "image_shape": (2, 2)},
    ok={"image_shape": "None"},
    names={"path": ("path", "data")},
)
row(
    "read_rows",
    datasets.read_rows,
    {"path": place / "x.npy", "divisor": 1.0},
    ok={"divisor": "None|" + NUMBER},
    names={"path": ("path", "data")},
)
row("standard_scale", datasets.standard_scale, {"x": x20}, ok={"x": ANY})
row(
    "Dataset",
    datasets.Dataset,
    {"name": "mine", "x_train": X, "x_valid": X, "x_test": X},
    asis="name",
    inner=True,
    ok={"x_train": ROWS_, "x_valid": ROWS_, "x_test": ROWS_},
)
TRAINING = {
    "epochs": 3,
    "batch_size": 3,
    "optimizer": nn.SGD(0.5),
    "schedule": nn.StepDecay(),
    "objective": mv.Elbo(),
    "n_draws": 2,
    "clip_norm": 0.5,
    "patience": 2,
    "binarize": True,
    "start_at_mean": False,
    "dtype": "float64",
    "seed": 3,
}
row(
    "Settings",
    mv.Settings,
    TRAINING,
    ok={
        "objective": "None",
        "n_draws": "None",
        "clip_norm": "None|" + NUMBER,
        "patience": "None",
        "dtype": "class",
        "seed": "0|10**12",
        "epochs": "10**12",
        "batch_size": "10**12",
    },
)
settings = mv.Settings(epochs=1, batch_size=3, objective=mv.Elbo())
row("Settings.resolved", settings.resolved, {"model": vae})
row("Settings.objective_at", settings.resolved(vae).objective_at, {"epoch": 0}, unused="epoch")
row("Settings.rule", settings.resolved(vae).rule, {"model": vae}, unused="model")
row("binarize", training.binarize, {"x": X, "rng": gen(0)}, ok={"x": ANY})
row("reproducible", lambda: training.reproducible() and None, {})
row(
    "blas_threads",
    lambda **k: training.blas_threads(**k) and None,
    {"model": vae, "n_rows": 3},
    ok={"n_rows": "10**12|10**30"},
)
row(
    "save_model",
    training.save_model,
    {"path": place / "m.npz", "model": vae, "params": pv},
    ok={"path": "'x'", "params": "other float"},
)
row(
    "save_state_dict",
    training.save_state_dict,
    {"path": place / "m.safetensors", "model": vae, "params": pv},
    ok={"path": "'x'", "params": "other float"},
)
training.save_state_dict(place / "good.safetensors", vae, pv)
row(
    "load_state_dict",
    lambda **k: training.load_state_dict(**k)[1],
    {"path": place / "good.safetensors", "model": vae},
    ok={"model": "None"},
)
row(
    "sweep",
    lambda **k: [done["test_elbo"] for done in training.sweep(**k)],
    {
        "make": lambda **_: (vae, settings, place / "rows.npy"),
        "grid": {"beta": [1.0]},
        "folder": place / "sweep",
        "executor": None,
        "workers": 1,
        "threads": 1,
        "progress": False,
    },
    ok={
        "folder": "'x'",
        "workers": "None|0-d",
        "threads": "None|10**12",
        "progress": "None",
    },
    skip={"make": "class|function"},
)
np.save(place / "rows.npy", np.tile(X, (4, 1)))
training.save_model(place / "good.npz", vae, pv)
row("load_model", training.load_model, {"path": place / "good.npz"})
row(
    "train",
    lambda **k: mv.train(**k).params,
    {
        "model": vae,
        "x_train": X,
        "x_valid": X,
        "settings": settings,
        "checkpoint": place / "c.npz",
        "resume": False,
        "progress": False,
        "on_epoch": lambda _: None,
        "checkpoint_seconds": 5.0,
    },
    ok={
        "x_train": ROWS_,
        "x_valid": "None|" + ROWS_,
        "checkpoint": "None|'x'",
        "on_epoch": "None|function",
        "progress": "None",
        "checkpoint_seconds": "0|" + NUMBER,
    },
    skip={"on_epoch": "class", "settings": "None"},  # by default it takes long
)

# ------------------------------------------------------------------------------------------ studies and exercises

row(
    "gradient_checks",
    lambda seed, groups: next(iter(studies.gradient_checks(seed, groups))),
    {"seed": 3, "groups": "cost"},
    ok={"seed": "0|10**12"},
)
halves = np.array([True, False, True])
row(
    "measure_attribute",
    lambda rows, **how: studies.measure_attribute(vae, pv, train=(rows, halves), test=(X, halves), **how),
    {"rows": X, "detect": lambda x: x[:, 0] > 0.5, "strength": 0.5, "seed": 3},
    ok={"rows": ROWS_, "strength": "0|-1|" + NUMBER, "seed": "0|10**12"},
    skip={"detect": "class|function"},
    names={"rows": ("train", "x")},
)
row(
    "nearer_to_second",
    studies.nearer_to_second,
    {"first": X, "second": X[:2]},
    ok={"first": ROWS_, "second": ROWS_},
    names={"first": ("first", "second")},
)
row(
    "sharpness",
    studies.sharpness,
    {"images": X, "shape": (2, 2)},
    ok={"images": ROWS_},
    names={"shape": ("shape", "image_shape", "images")},
)
row(
    "fit_shared_code",
    studies.fit_shared_code,
    {"images": X, "likelihood": "gaussian", "seed": 3},
    ok={"images": ANY, "likelihood": "None", "seed": "0|10**12"},
)
pair = {"a": R[0], "b": R[1], "variance": 0.5, "beta": 0.75}
real = {"a": REAL, "b": REAL, "variance": NUMBER, "beta": NUMBER}
both_images = {"a": ("a", "b", "variance"), "b": ("a", "b", "variance")}
row("best_one_bit", studies.best_one_bit, pair, ok=real, names=both_images)
row("fit_one_bit", studies.fit_one_bit, pair | {"seed": 3}, ok=real | {"seed": "0|10**12"}, names=both_images)
row("mixture_cost", studies.mixture_cost, {k: pair[k] for k in ("a", "b", "variance")}, ok=real, names=both_images)
row(
    "measure_sharpness",
    studies.measure_sharpness,
    {"model": vae, "params": pv, "x": X, "shape": (2, 2), "seed": 3},
    ok={"x": ROWS_, "seed": "0|10**12"},
    names={"shape": ("shape", "image_shape", "images"), "x": ("x", "images")},
)
row(
    "limit_to_autoencoder",
    studies.limit_to_autoencoder,
    {"x": R, "n_latent": 2, "sigmas": (0.5, 0.25), "seed": 3},
    ok={"x": ANY, "sigmas": "empty", "seed": "0|10**12"},
)
row(
    "check",
    exercises.check,
    {"exercise": "vae.sample-z", "answer": lambda mu, log_var, eps: mu + np.exp(log_var / 2) * eps, "seconds": 5.0},
    ok={"seconds": NUMBER, "exercise": "''|'x'"},
    asis="answer",
)

row(
    "Exercise.check",
    exercises.EXERCISES["vae.sample-z"].check,
    {"answer": lambda mu, log_var, eps: mu + np.exp(log_var / 2) * eps, "seed": 3, "seconds": 5.0},
    ok={"seconds": NUMBER, "seed": "0|10**12"},
    asis="answer",
)

BETAS = REAL + "|long|wide"
SPECTRUM = np.array([4.0, 2.0, 1.0, 0.5])
row(
    "beta_vae_optimum",
    classical.beta_vae_optimum,
    {"eigenvalues": SPECTRUM, "beta": 1.5, "n_latent": 2, "s2": 0.5},
    ok={"eigenvalues": REAL + "|list|long|wide", "beta": NUMBER, "n_latent": "None", "s2": NUMBER + "|None"},
)
row(
    "reverse_water_filling",
    classical.reverse_water_filling,
    {"eigenvalues": SPECTRUM, "level": 0.5},
    ok={"eigenvalues": REAL + "|list|long|wide", "level": NUMBER},
)
row("one_bit_data", studies.one_bit_data, {"n_x": 3})
row(
    "one_bit_loss",
    studies.one_bit_loss,
    {"n_x": 3, "rho": np.array([0.5, 1.0]), "beta": 0.5},
    ok={"rho": REAL + "|0|-1|1.5|10**12|0-d|3-d|deeper|wide|long|list", "beta": "0|" + NUMBER},
)
row("one_bit_optimum", studies.one_bit_optimum, {"n_x": 3, "beta": 0.5}, ok={"beta": NUMBER})
row(
    "mutual_information",
    studies.mutual_information,
    {"model": vae, "params": pv, "x": X, "rng": gen(0)},
    ok={"x": ROWS_},
)
row("collapse", studies.collapse, {"model": vae, "params": pv, "x": X, "seed": 0}, ok={"x": ROWS_, "seed": "10**12"})
row(
    "rate_distortion",
    lambda **how: list(studies.rate_distortion(**how)),
    {"x": R, "betas": [1.0], "s2": 0.5, "n_latent": 2, "n_hidden": [], "settings": mv.Settings(epochs=2), "seed": 0},
    ok={
        "x": ANY,
        "betas": REAL + "|long|wide",
        "s2": NUMBER,
        "n_hidden": "empty",
        "settings": "None",
        "seed": "10**12",
    },
)

row(
    "compare_inference",
    lambda **k: [t.mean_error for t in studies.compare_inference(**k)],  # not the seconds
    {"seed": 0, "n_draws": 60, "n_steps": 2},
    ok={"seed": "10**12"},
)
row(
    "latent_posteriors",
    studies.latent_posteriors,
    {"xs": np.array([1.0, 1.5])},
    ok={"xs": REAL + "|long|wide"},
)
small_rows = mv.datasets.Dataset("rows", X.astype(np.float32), X.astype(np.float32), X.astype(np.float32))
row(
    "explorer_page",
    lambda x, title: studies.explorer_page(studies.Trained(vae, pv), small_rows, x, title),
    {"x": X, "title": "rows"},
    ok={"x": ROWS_ + "|None", "title": "''|'x'"},
)
row("inference_problems", studies.inference_problems, {})
# ------------------------------------------------------------------------------------------------------- families

EACH = REAL + "|0-d|empty|3-d|deeper|wide|long|list|[]|big-endian"  # numbers of any shape
OF_FIELDS = {
    **dict.fromkeys(("scale", "df", "rate", "shape", "a", "b", "nc"), EACH + "|1.5|10**12"),
    "loc": EACH + "|1.5|10**12|0|-1",
    "low": NUMBER + "|0|-1",
    "high": NUMBER + "|0|inf",
    "boost": "0|10**12",
    "concentration": EACH,
}
INSIDE = {"u": EACH, "z": EACH + "|1.5|10**12|0|-1"}
for family in FAMILIES:
    kind = type(family)
    fields = {field_.name: getattr(family, field_.name) for field_ in dataclass_fields(kind)}
    together = {name: (name, *kind.parameters) for name in kind.parameters}
    ok = OF_FIELDS | ({"df": ""} if kind.__name__.endswith("ChiSquare") else {})
    row(kind.__name__, kind, fields, ok={name: ok[name] for name in fields}, names=together)
    inside = family.noise(gen(0), (3,))
    looked = {"Family.sample": "u", "Family.path": "u", "Family.correction": "u"}
    looked |= {"Family.log_prob": "z", "Family.score": "z"}
    for key, name in looked.items():
        value = inside if name == "u" else family.sample(inside)
        many = {"ok": {name: EACH if family.noise_shape and name == "u" else INSIDE[name]}}
        row(key, getattr(family, key.split(".")[1]), {name: value}, **many)
    noise_of = kind.noise.__qualname__
    row(noise_of, family.noise, {"rng": gen(0), "shape": (3,)}, ok={"shape": "[]"})
    row(kind.at.__qualname__, family.at, {"theta": family.theta}, ok={"theta": REAL + "|list|big-endian"})
    row(kind.moving_ends.__qualname__, family.moving_ends, {})
    if hasattr(family, "log_noise"):
        row("ByRejection.log_noise", family.log_noise, {"u": inside}, ok={"u": EACH})
row("ChiSquare.as_gamma", families.ChiSquare(0.5, 3).as_gamma, {})
row("uniform_nodes", families.uniform_nodes, {"step": 0.25}, ok={"step": ""})
row(
    "leibniz_terms",
    families.leibniz_terms,
    {"family": families.MovingUniform(2.0), "f": np.square, "df": lambda z: 2 * z, "jumps": np.array([0.5, 1.25])},
    ok={"jumps": EACH + "|1.5"},
    skip={"f": "class", "df": "class"},
)

row("reach_through_time", studies.reach_through_time, {"seed": 0}, ok={"seed": "0|10**12"})
row(
    "clipping",
    studies.clipping,
    {"max_norm": 1.0, "n_updates": 2, "seed": 0},
    ok={"max_norm": "None|" + NUMBER, "seed": "0|10**12"},
)

SWEPT = [{"beta": float(1 + i // 2), "seed": i % 2, "status": "early"} for i in range(4)]
SWEPT = [r | {"test_elbo": -3.0 - i, "test_log_lik": -2.0 - i, "test_kl": 1.0} for i, r in enumerate(SWEPT)]
row("over_seeds", studies.over_seeds, {"rows": SWEPT, "names": ["beta"], "level": 0.9}, ok={"names": "[]"})
for drawn in (studies.sweep_figure, studies.sweep_rate_figure):
    args = {"rows": SWEPT, "names": ["beta"]}
    row(drawn.__name__, lambda drawn=drawn, **k: drawn(**k) and None, args, ok={"names": "[]"})

LEFT_OUT = {
    "Steps.flat_layers": "takes nothing",
    "Residual.flat_layers": "takes nothing",
    "SequenceVAE": "a VAE of fields that recurrent makes; tested in test_networks",
    "SequenceVAE.loss_and_grad": "that of VAE, to which it hands what it is given; tested in test_networks",
    "Family": "a base without a function",
    "LeibnizTerms": "a result",
    "NoncentralChiSquare.as_gamma": "always refuses: there is none; tested in test_families",
    **{
        f"{name}.bend": "inside of an estimator: takes what forward made"
        for name in ("Bernoulli", "Gaussian", "GaussianPerPixel")
    },
    "QuadraticForm.bend": "inside of an estimator: takes what it made",
    "Centred": "what a baseline predicts for nvil's row",
    "Control": "what a baseline predicts for rebar and relax",
    "SecondPass": "what the models hand to an estimator's own gradient at every step",
    "Estimator.suits": "takes the model's own posterior",
    "LearnedControl.update": "takes what a step has left in the state",
    "ControlNetwork.forward": "inside of an estimator: takes what it made",
    "ControlNetwork.backward": "inside of an estimator: takes what forward made",
    **{
        f"{codes}.{method}": "inside of an estimator: takes what behind and sample gave"
        for codes in ("Bits", "Categorical")
        for method in ("left_free", "relaxed", "relaxed_backward", "relaxed_bend")
    },
    "Exercise": "written in code, once, by whoever adds one",
    "Exercise.<lambda>": "the default of compare",
    "Outcome": "a result",
    "GradCheck": "a result: what the package returns",
    "Moments": "a result",
    "Summary": "a result",
    "Approach": "a result",
    "OneBit": "a result",
    "SharedCode": "a result",
    "CouplingTerms": "a result",
    "ElboTerms": "a result",
    "ReconstructionTerms": "a result",
    "KSampleTerms": "a result",
    "ElboTerms.joined": "inside terms: takes what it made",
    "KSampleBound.at": "takes the loop's own count",
    "KSampleBound.terms": "inside loss_and_grad and terms: takes what they made",
    "Elbo.terms": "inside loss_and_grad and terms: takes what they made",
    "LogMarginal": "a result",
    "AnnealedMarginal": "a result",
    "CollapsedWeightsWarning": "a warning",
    "PowerStep": "a result",
    "BetaOptimum": "a result",
    "Descent": "a result",
    "EmStep": "a result",
    "LatentPosterior": "a result",
    "latent_posteriors_figure": "takes what latent_posteriors gave",
    "FitError": "a result",
    "graph": "takes names and pairs: tested in test_diagrams",
    "architecture": "takes a model: tested in test_diagrams",
    "Trained": "what explorer_page takes: looked at there",
    "InferenceTrace": "a result",
    "InferenceTrace.row": "takes nothing",
    "inference_figure": "takes what compare_inference gave",
    "Chains": "a result",
    "Laplace": "a result",
    "SgvbFit": "a result",
    "FreeForm": "a result",
    "FactorsOnGrid": "a result",
    "GaussianOnGrid": "a result",
    "LinearFactors": "a result",
    "NormalGammaFactors": "a result",
    "Result": "a result",
    "Chains.to_arviz": "takes nothing",
    "EncoderDraws": "a result of encoder_draws and encoder_states",
    "Draws": "what the models hand to an estimator's row at every step",
    "Weights": "what an estimator's row gives back at every step",
    "Estimator": "a row of the table of estimators: written in code, once, by whoever adds one",
    "Activation": "a base without a function",
    "SeparableCost": "a base without a function",
    "FileError": "an error",
    "NonFiniteError": "an error",
    "NotALikelihoodWarning": "a warning",
    "Sequential.flat_layers": "takes nothing",
    "Sequential.steps": "inside a penalty: takes the caches that forward gave",
    "RealPosterior.states": "always refuses: a real z has no states; tested in test_diagonal",
    "_Sparsity.forward": "inside loss_and_grad: takes what the encoder's forward gave",
    "_Sparsity.backward": "inside loss_and_grad: takes what its forward gave",
    "Contraction.forward": "inside loss_and_grad: takes what the encoder's forward gave",
    "Contraction.backward": "inside loss_and_grad: takes what its forward gave",
    "SeparableCost.score_square": "inside exact_moments, which checks",
    "Elbo.at": "takes the loop's own count",
} | {
    f"{cost}.{method}": "what a cost is made of: inside value, gradient, mean and the exact moments, which check"
    for cost in ("SeparableCost", "Linear", "Quadratic", "Exponential", "Cosine")
    for method in ("each", "slope", "moment", "slope_moment")
}
