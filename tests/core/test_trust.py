"""A model looks at what it is given, its boxes then need not; a box of another package is looked after all the same."""

import dataclasses
import threading

import numpy as np
import pytest

import minivae as mv
from minivae.core.trust import inside, looked


@dataclasses.dataclass(frozen=True)
class Narrow(mv.nn.Dense):
    """Promises a width and gives one less."""

    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return y[:, :-1], cache


def test_own_boxes_are_looked_after_and_none_is_outside_a_model(rng):
    model = mv.VAE.mlp(4, 2, [3])
    assert model.own_boxes
    assert looked.already == 0
    with inside(model), inside(model):
        assert looked.already == 2
        other = []
        thread = threading.Thread(target=lambda: other.append(looked.already))
        thread.start()
        thread.join()
        assert other == [0]
    assert looked.already == 0
    with pytest.raises(ValueError, match="x must be finite"):
        model.terms(model.init(rng), np.full((2, 4), np.nan), rng=rng)
    assert looked.already == 0, "an error inside leaves it as it was"
    layer = model.encoder.layers[0]
    with pytest.raises(ValueError, match="x must be an array of shape"):
        layer.forward(layer.init(rng), np.zeros((2, 5)))


def test_a_box_of_another_package_that_breaks_its_promise_is_noticed(rng):
    encoder = mv.Sequential((Narrow(4, 3), mv.nn.Tanh(), mv.Dense(3, 4)))
    good = mv.VAE.mlp(4, 2, [3])
    model = mv.VAE(encoder, good.posterior, good.decoder, good.likelihood)
    assert not model.own_boxes
    params = model.init(rng)
    with pytest.raises(ValueError, match=r"x must be an array of shape \(any, 3\).*got .* shape \(2, 2\)"):
        model.loss_and_grad(params, np.ones((2, 4)), np.zeros((1, 2, 2)), np.empty_like(params))


def test_weights_of_another_shape_are_refused(rng):
    with pytest.MonkeyPatch.context() as patch:
        row = mv.estimators.Estimator(lambda draws, _: mv.estimators.Weights(draws.share[:, :1], draws.share))
        patch.setitem(mv.estimators.ESTIMATORS, "narrow", row)
        model = mv.VAE.mlp(4, 2, [3])
        params = model.init(rng)
        with pytest.raises(ValueError, match=r"decoder of the weights of 'narrow' must have shape \(1, 3\)"):
            model.loss_and_grad(
                params, np.ones((3, 4)), np.zeros((1, 3, 2)), np.empty_like(params), mv.Elbo("narrow", kl="sampled")
            )
