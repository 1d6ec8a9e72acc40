"""log p(x|z) of many codes, and the way back to z."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.parallel import row_chunks


@dataclass(frozen=True)
class Decoding:
    """Some draws of all examples, as they went through the decoder and the likelihood.

    Attributes
    ----------
    model : VAE
        Whose shapes were looked at.
    params : pair of array
        Of the decoder and of the likelihood.
    log_lik : array of shape (K, B)
        log p(x|z).
    """

    model: Any
    params: tuple[Array, Array]
    log_lik: Array
    caches: tuple[Any, Any]

    @classmethod
    def of(cls, model: Any, params: tuple[Array, Array], z: Array, x: Array) -> "Decoding":
        """Decode z, shape (K, B, L), and score x on it."""
        out, decoder_cache = model.decoder.forward(params[0], z.reshape(-1, z.shape[2]))
        log_lik, likelihood_cache = model.likelihood.forward(params[1], out, x)
        return cls(model, params, log_lik.reshape(z.shape[:2]), (decoder_cache, likelihood_cache))

    def slope(self) -> Array:
        """Return d log p(x|z) / dz, shape (K, B, L)."""
        (decoder, likelihood), ones = self.params, np.ones(self.log_lik.size, self.log_lik.dtype)
        dout = self.model.likelihood.backward(likelihood, self.caches[1], ones, np.empty_like(likelihood))
        dz: Array = self.model.decoder.backward(decoder, self.caches[0], dout, None)
        return dz.reshape(*self.log_lik.shape, -1)


def there_and_back(model: Any, params: tuple[Array, Array], z: Array, x: Array) -> tuple[Array, Array]:
    """Return log p(x|z), shape (K, B), and its derivative for z, a few draws after the other.

    Each comes back while the cache of the processor holds what it left there.
    """
    log_lik, slope = np.empty((len(z), len(x)), z.dtype), np.empty_like(z)
    for chosen in row_chunks(len(z), len(x)):
        part = Decoding.of(model, params, z[chosen], x)
        log_lik[chosen], slope[chosen] = part.log_lik, part.slope()
    return log_lik, slope
