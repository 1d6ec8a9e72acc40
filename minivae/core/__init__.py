"""What every room stands on: arrays, refusals, errors, files, kernels. It knows no model."""
