"""How many BLAS threads a step should use."""

from typing import Any

from threadpoolctl import threadpool_limits

_ONE_THREAD = 4_000_000  # multiplications in the largest product of a step below which one BLAS thread is best


def blas_threads(model: Any, n_rows: int) -> Any:
    """Return a context in which small products use one thread: two gain nothing there, and lose much when disturbed."""
    layers = [*model.encoder.layers, *model.decoder.layers]
    products = [layer.n_in * layer.n_out for layer in layers if layer.n_in and layer.n_out]
    multiplications = n_rows * max(products)
    return threadpool_limits(1 if multiplications < _ONE_THREAD else None, user_api="blas")
