"""Exact means and variances of the estimators: on costs, on a linear-Gaussian ELBO, on a few bits."""
