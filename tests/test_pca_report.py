"""The checks of ``minivae pca``: what equal eigenvalues leave open, and that each row can fail."""

import json

import numpy as np

from minivae import cli, pca_report
from minivae.pca_report import Spectrum

from .test_vae import exact_covariance_data

TIED = (4.0, 2.0, 2.0, 1.0, 0.5, 0.3)


def spectrum(*values):
    return Spectrum(np.diag(values), np.array(values), np.eye(len(values)), len(values))


def tied_report(capsys, tmp_path, monkeypatch, rng, n_latent):
    """Run ``minivae pca`` on data whose covariance has the tied eigenvalues; return code, rows, settings, text."""
    monkeypatch.chdir(tmp_path)
    np.save("tied.npy", exact_covariance_data(TIED, 40, rng))
    # every row is for training, so that the covariance is exact
    from_file = pca_report.covariance
    rows = np.load("tied.npy")
    monkeypatch.setattr(pca_report, "covariance", lambda x: from_file(x))
    del rows
    words = ["pca", "--data", "tied.npy", "--latent", str(n_latent), "--quiet"]
    code = cli.main([*words, "--json"])
    result = json.loads(capsys.readouterr().out)
    return code, result, words
