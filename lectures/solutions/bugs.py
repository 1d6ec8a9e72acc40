"""Solutions to the exercises of "Find the bugs"."""

import numpy as np

__all__ = ["buggy_lines", "counts", "elbo_lines", "repaired_vae", "sampled"]

# 28: exp(log_var) as standard deviation; 37: mean over the pixels;
# 41: +1 for -1 in the KL; 62: no half in the KL's slope;
# 65: the slope of the encoder's tanh is left out. (53 and 61 differentiate
# the wrong lines 37 and 28 rightly, and change with them.)
buggy_lines = {28, 37, 41, 62, 65}

elbo_lines = {
    "reconstruction": {
        47,
        48,
        49,
    },  # draw, decode, average
    "kl": {41},
    "kl_inputs": {22, 23},
}

counts = {"n_draws": 2, "n_latent": 3, "n_layers": 2}

sampled = "q(z|x)"


def repaired_vae(w, x, eps):
    n_draws, n_batch = len(eps), len(x)
    h = np.tanh(x @ w["W1"] + w["b1"])
    mu = h @ w["Wm"] + w["bm"]
    log_var = h @ w["Wv"] + w["bv"]
    sigma = np.exp(log_var / 2)
    z = mu + sigma * eps
    g = np.tanh(z @ w["W2"] + w["b2"])
    logits = g @ w["W3"] + w["b3"]
    reconstruction = np.sum(x * logits - np.logaddexp(0, logits), axis=-1).mean(
        axis=0
    )
    kl = 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=-1)
    loss = float(np.mean(kl - reconstruction))

    dlogits = (1 / (1 + np.exp(-logits)) - x) / (n_draws * n_batch)
    dw = {
        "W3": np.einsum("kbh,kbd->hd", g, dlogits),
        "b3": dlogits.sum(axis=(0, 1)),
    }
    da = dlogits @ w["W3"].T * (1 - g**2)
    dw |= {"W2": np.einsum("kbl,kbh->lh", z, da), "b2": da.sum(axis=(0, 1))}
    dz = da @ w["W2"].T
    dmu = dz.sum(axis=0) + mu / n_batch
    dlog_var = np.sum(dz * 0.5 * sigma * eps, axis=0)
    dlog_var += 0.5 * (np.exp(log_var) - 1) / n_batch
    dw |= {
        "Wm": h.T @ dmu,
        "bm": dmu.sum(axis=0),
        "Wv": h.T @ dlog_var,
        "bv": dlog_var.sum(axis=0),
    }
    dh = (dmu @ w["Wm"].T + dlog_var @ w["Wv"].T) * (1 - h**2)
    dw |= {"W1": x.T @ dh, "b1": dh.sum(axis=0)}
    return loss, dw
