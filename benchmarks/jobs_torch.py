"""The whole jobs of ``benchmarks.jobs`` as a plain PyTorch script: python -m benchmarks.jobs_torch JOB DATA.npz."""

import json
import math
import sys

import numpy as np
import torch
from torch import nn

LOG_2PI = math.log(2 * math.pi)
torch.manual_seed(0)


class Model(nn.Module):
    """A VAE with one hidden layer each way and Bernoulli pixels."""

    def __init__(self, n_x: int, n_hidden: int, n_latent: int, activation: str) -> None:
        super().__init__()
        act = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]
        self.encoder = nn.Sequential(nn.Linear(n_x, n_hidden), act(), nn.Linear(n_hidden, 2 * n_latent))
        self.decoder = nn.Sequential(nn.Linear(n_latent, n_hidden), act(), nn.Linear(n_hidden, n_x))

    def log_lik(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        logits = self.decoder(z)
        return -nn.functional.binary_cross_entropy_with_logits(logits, x.expand(logits.shape), reduction="none").sum(-1)

    def elbo(self, x: torch.Tensor, n_draws: int) -> torch.Tensor:
        mu, log_var = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.exp(log_var / 2) * torch.randn(n_draws, *mu.shape)
        kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1)
        return self.log_lik(z, x).mean(0) - kl


def train(
    model: Model, x_train: torch.Tensor, x_valid: torch.Tensor, epochs: int, batch: int, rate: float, binarize: bool
) -> None:
    """Train by Adam, and keep the best epoch on the validation set."""
    rule = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    best, kept = -math.inf, None
    if binarize:
        x_valid = torch.bernoulli(x_valid)
    for _ in range(epochs):
        for rows in torch.randperm(len(x_train)).split(batch):
            x = x_train[rows]
            x = torch.bernoulli(x) if binarize else x
            loss = -model.elbo(x, 1).mean()
            rule.zero_grad(set_to_none=True)
            loss.backward()
            rule.step()
        with torch.no_grad():
            value = float(model.elbo(x_valid, 1).mean())
        if value > best:
            best, kept = value, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)


@torch.no_grad()
def test_elbo(model: Model, x: torch.Tensor) -> float:
    """Return the test ELBO with 16 draws, 500 examples at a time."""
    return float(torch.cat([model.elbo(part, 16) for part in x.split(500)]).mean())


def variances(model: Model, x: torch.Tensor, n_draws: int, n_group: int) -> dict[str, list[float]]:
    """Return the variance of five estimators' gradients for mu and for log_var, averaged over examples and latents."""
    with torch.no_grad():
        mu, log_var = model.encoder(x).chunk(2, dim=1)
    sigma = torch.exp(log_var / 2)
    closed = torch.cat([mu, (log_var.exp() - 1) / 2], dim=1)
    baseline, found = None, {}
    for name in ("pathwise", "path-derivative", "score", "score-mean", "score-leave-one-out"):
        total, squares, seen = 0.0, 0.0, 0
        for _ in range(n_draws // 250):
            eps = torch.randn(250, *mu.shape)
            z = (mu + sigma * eps).requires_grad_()
            f = model.log_lik(z, x)
            if name in ("pathwise", "path-derivative"):
                (dz,) = torch.autograd.grad(f.sum(), z)
                if name == "path-derivative":
                    dz = dz - z + eps / sigma
                rows = torch.cat([dz, dz * eps * sigma / 2], dim=-1).detach()
                rows = rows if name == "path-derivative" else rows - closed
            else:
                f = f.detach()
                baseline = f.mean(0) if baseline is None else baseline
                if name == "score-mean":
                    f = f - baseline
                if name == "score-leave-one-out":
                    groups = f.reshape(-1, n_group, len(x))
                    f = ((groups - groups.mean(1, keepdim=True)) * n_group / (n_group - 1)).reshape(f.shape)
                rows = f[..., None] * torch.cat([eps / sigma, (eps**2 - 1) / 2], dim=-1) - closed
            if name == "score-leave-one-out":
                rows = rows.reshape(-1, n_group, *rows.shape[1:]).mean(1)
            rows = rows.detach().double()
            total, squares, seen = total + rows.sum(0), squares + (rows**2).sum(0), seen + len(rows)
        variance = (squares - total**2 / seen) / (seen - 1) * (n_group if name == "score-leave-one-out" else 1)
        found[name] = [float(part.mean()) for part in variance.chunk(2, dim=1)]
    return found


@torch.no_grad()
def log_marginal(model: Model, x: torch.Tensor, n_draws: int) -> float:
    """Return the mean of log p(x) by importance sampling, 50 examples and 10 draws at a time."""
    parts = []
    for rows in x.split(50):
        mu, log_var = model.encoder(rows).chunk(2, dim=1)
        log_w = []
        for _ in range(n_draws // 10):
            eps = torch.randn(10, *mu.shape)
            z = mu + torch.exp(log_var / 2) * eps
            log_w.append(model.log_lik(z, rows) + 0.5 * (eps**2 + log_var - z**2).sum(-1))
        parts.append(torch.logsumexp(torch.cat(log_w), dim=0) - math.log(n_draws))
    return float(torch.cat(parts).mean())


def main() -> None:
    job, path = sys.argv[1:]
    given = np.load(path)
    how = json.loads(str(given["how"]))
    x_train, x_valid, x_test = (torch.from_numpy(given[name]) for name in ("x_train", "x_valid", "x_test"))
    model = Model(x_train.shape[1], how["hidden"], how["latent"], how["activation"])
    if job == "log p(x)":
        for name, value in model.named_parameters():
            value.data = torch.from_numpy(given[name])
        print(json.dumps(log_marginal(model, x_test, how["draws"])))
        return
    train(model, x_train, x_valid, how["epochs"], how["batch"], how["rate"], how["binarize"])
    if job == "variances":
        print(json.dumps(variances(model, x_test, how["draws"], how["group"])))
        return
    print(json.dumps(test_elbo(model, torch.bernoulli(x_test) if how["binarize"] else x_test)))


if __name__ == "__main__":
    main()
