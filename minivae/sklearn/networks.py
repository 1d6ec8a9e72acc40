"""VAEs and autoencoders as transformers: fit trains, transform encodes, inverse_transform decodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.parallel import row_chunks
from minivae.core.seeds import Stream, stream
from minivae.distributions.likelihoods import Gaussian, named_likelihood
from minivae.estimators.objectives import Elbo
from minivae.models import autoencoder, bounds, vae
from minivae.models.base import Model
from minivae.nn.optim import Adam
from minivae.sklearn.base import Codes
from minivae.training.loop import begun, one_epoch, train
from minivae.training.settings import Settings


class _Network(Codes):
    """What is trained by steps of Adam.

    Attributes
    ----------
    model_ : Model
    params_ : array of shape (n_params,)
    history_ : list of dict
        One row an epoch, or a call of partial_fit.
    seed_ : int
        Of everything random, drawn from random_state.
    n_iter_, n_features_in_ : int
    """

    n_latent: int
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None
    validation_fraction: float
    random_state: Any
    model_: Any
    params_: Array
    _state: Any

    def _model(self, X: Array) -> Model:
        raise NotImplementedError

    def _objective(self) -> Any:
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None) -> "_Network":  # noqa: ARG002
        """Train on the rows, from the beginning; y is ignored. Return self."""
        X = self._rows(X, new=True, least=2)
        self._begin(X)
        x_train, x_valid = self._split(X)
        settings = self._settings(x_train)
        result = train(self.model_, x_train, x_valid, settings)
        if result.stopped in ("interrupted", "terminated"):
            raise KeyboardInterrupt
        self.params_, self.history_, self.n_iter_ = result.params, result.history, len(result.history)
        self._after(X)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> "_Network":  # noqa: ARG002
        """Go once more through these rows, in minibatches, from where the parameters are; y is ignored. Return self.

        The first call sets up the model by its rows. The optimiser's moments go from call to call, and start anew after
        ``fit``.
        """
        first = not hasattr(self, "params_")
        X = self._rows(X, new=first, least=2 if first else 1)
        if first:
            self._begin(X)
            self.history_, self.n_iter_ = [], 0
        X = X.astype(self._params.dtype if not first else X.dtype, copy=False)
        settings = self._settings(X)
        X = self.model_.check_data(X, "X", X.dtype)
        if self._state is None:
            self._state = begun(self.model_, X, settings)
            if not first:
                self._state.params[:] = self._params
        row = one_epoch(self.model_, X, settings, self._state, self.n_iter_)
        self.params_ = self._state.params.copy()
        self.history_.append(row)
        self.n_iter_ += 1
        self._after(X)
        return self

    def _begin(self, X: Array) -> None:
        """Forget what was learnt before."""
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.model_ = self._model(X)
        self._state = None

    def _after(self, X: Array) -> None:
        """Learn what a model needs beside its parameters."""

    def _settings(self, X: Array) -> Settings:
        settings = Settings(
            epochs=self.epochs,
            batch_size=min(checks.width(self.batch_size, "batch_size"), len(X)),
            optimizer=Adam(self.learning_rate),
            objective=self._objective(),
            patience=self.patience,
            dtype=X.dtype.name,
            seed=self.seed_,
        )
        return settings.resolved(self.model_)

    def _split(self, X: Array) -> tuple[Array, Array | None]:
        """Return the rows to train on and, where patience counts, those that judge when to stop."""
        if self.patience is None:
            return X, None
        share = checks.number(self.validation_fraction, "validation_fraction", low=0, high=1)
        order = stream(self.seed_, Stream.HELD_OUT).permutation(len(X))
        n = min(max(1, round(share * len(X))), len(X) - 1)
        return X[order[n:]], X[order[:n]]

    @property
    def _params(self) -> Array:
        """The parameters in memory, though they may have been loaded as a map of a file."""
        return np.asarray(self.params_)

    @property
    def _n_features_out(self) -> int:
        return int(self.model_.decoder.n_in or 0)

    def transform(self, X: Any) -> Array:
        """Return the codes, shape (n_samples, n_latent): of a VAE the means of q(z|x)."""
        X = self._rows(X)
        return self.model_.embed(self._params, X).astype(X.dtype, copy=False)

    def inverse_transform(self, Z: Any) -> Array:
        """Return E[x|z] of codes, shape (n_samples, n_features)."""
        Z = self._codes(Z)
        return self.model_.decode(self._params, Z).astype(Z.dtype, copy=False)

    def _draws(self, random_state: Any) -> np.random.Generator:
        """Return the generator of ``sample``: of the fit's own seed, unless another state is given."""
        if random_state is None:
            return stream(self.seed_, Stream.SAMPLES)
        return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


class VAE(_Network):
    """A variational autoencoder of dense layers, ``mv.VAE.mlp`` as a transformer.

    Parameters
    ----------
    n_latent : int
    n_hidden : sequence of int
        Widths of the encoder's hidden layers; the decoder mirrors them.
    activation, likelihood, posterior, prior
        As of ``mv.VAE.mlp``. The likelihood is "gaussian-learned" unless given, one variance for all columns: scale
        them alike, by a StandardScaler, say. For values in [0, 1] take "bernoulli".
    prior_components : int, optional
        Of a prior given by name that is a mixture.
    objective : Elbo or KSampleBound, optional
        ``mv.Elbo(beta=4.0)``, say; the ELBO unless given.
    epochs, batch_size, learning_rate : int, int, float
    patience : int, optional
        Stop after so many epochs without a better loss on rows that are held out for that; never unless given.
    validation_fraction : float
        Share of the rows that are held out where patience counts.
    n_draws : int
        K of ``score_samples``.
    random_state : int, RandomState or None

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> vae = VAE(n_latent=2, epochs=2, random_state=0).fit(x)
    >>> vae.transform(x).shape, list(vae.get_feature_names_out())
    ((50, 2), ['vae0', 'vae1'])
    """

    def __init__(
        self,
        n_latent: int = 2,
        *,
        n_hidden: Sequence[int] = (128,),
        activation: Any = "relu",
        likelihood: Any = "gaussian-learned",
        posterior: Any = "diagonal",
        prior: Any = None,
        prior_components: int | None = None,
        objective: Any = None,
        epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        n_draws: int = 64,
        random_state: Any = None,
    ) -> None:
        self.n_latent = n_latent
        self.n_hidden = n_hidden
        self.activation = activation
        self.likelihood = likelihood
        self.posterior = posterior
        self.prior = prior
        self.prior_components = prior_components
        self.objective = objective
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.n_draws = n_draws
        self.random_state = random_state

    def _model(self, X: Array) -> Model:
        return vae.VAE.mlp(
            n_x=X.shape[1],
            n_latent=self.n_latent,
            n_hidden=self.n_hidden,
            activation=self.activation,
            likelihood=named_likelihood(self.likelihood, Gaussian()).starting_at(X),
            posterior=self.posterior,
            prior=self.prior,
            n_components=self.prior_components,
        )

    def _objective(self) -> Any:
        return Elbo() if self.objective is None else self.objective

    def score_samples(self, X: Any) -> Array:
        """Return the K-sample bound on log p(x) of each row, in nats; K = n_draws, 1 is the ELBO.

        Its noise is the same at every call and for every row, so the score of a row depends on that row alone.
        """
        X = self._rows(X)
        X = self.model_.check_data(X, "X", self._params.dtype)
        n_draws = checks.width(self.n_draws, "n_draws")
        eps = self.model_.draw_noise(stream(self.seed_, Stream.IMPORTANCE), n_draws, 1, self._params.dtype)
        parts = [bounds.iwae_bound(self.model_, self._params, X[rows], eps) for rows in row_chunks(len(X), n_draws)]
        return np.concatenate(parts).astype(np.float64)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draw rows x ~ p(x|z), z ~ p(z), shape (n_samples, n_features)."""
        check_is_fitted(self)
        return self.model_.sample(self._params, n_samples, self._draws(random_state))


class Autoencoder(_Network):
    """An autoencoder of dense layers, ``mv.Autoencoder.mlp`` as a transformer.

    It has no p(z): ``sample`` draws codes from a Gaussian that is fitted to those of the training rows, after the
    training, and ``score_samples`` is log p(x|z) at a row's own code, no density of x.

    Parameters
    ----------
    n_latent : int
    n_hidden : sequence of int
        Widths of the encoder's hidden layers; the decoder mirrors them.
    activation, likelihood, corruption, penalty
        As of ``mv.Autoencoder.mlp``; the likelihood is "gaussian-learned" unless given.
    epochs, batch_size, learning_rate : int, int, float
    patience : int, optional
        Stop after so many epochs without a better loss on rows that are held out for that; never unless given.
    validation_fraction : float
        Share of the rows that are held out where patience counts.
    random_state : int, RandomState or None

    References
    ----------
    P. Ghosh et al., "From variational to deterministic autoencoders", 2020, section 4: the density after the fact.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> model = Autoencoder(n_latent=2, epochs=2, random_state=0).fit(x)
    >>> model.inverse_transform(model.transform(x)).shape
    (50, 3)
    """

    def __init__(
        self,
        n_latent: int = 2,
        *,
        n_hidden: Sequence[int] = (128,),
        activation: Any = "relu",
        likelihood: Any = "gaussian-learned",
        corruption: Any = None,
        penalty: Any = None,
        epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        random_state: Any = None,
    ) -> None:
        self.n_latent = n_latent
        self.n_hidden = n_hidden
        self.activation = activation
        self.likelihood = likelihood
        self.corruption = corruption
        self.penalty = penalty
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _model(self, X: Array) -> Model:
        return autoencoder.Autoencoder.mlp(
            n_x=X.shape[1],
            n_latent=self.n_latent,
            n_hidden=self.n_hidden,
            activation=self.activation,
            likelihood=named_likelihood(self.likelihood, Gaussian()).starting_at(X),
            corruption=self.corruption,
            penalty=self.penalty,
        )

    def _objective(self) -> Any:
        return None

    def _after(self, X: Array) -> None:
        z = self.model_.embed(self._params, X).astype(np.float64)
        self.code_mean_ = z.mean(axis=0)
        self.code_covariance_ = (z - self.code_mean_).T @ (z - self.code_mean_) / len(z)

    def score_samples(self, X: Any) -> Array:
        """Return log p(x|z) of each row at its own code, in nats: how well it is reconstructed."""
        X = self._rows(X)
        X = self.model_.check_data(X, "X", self._params.dtype)
        return self.model_.terms(self._params, X).log_lik.astype(np.float64)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draw rows x ~ p(x|z), z from the Gaussian of the codes, shape (n_samples, n_features)."""
        check_is_fitted(self)
        n, rng = checks.width(n_samples, "n_samples"), self._draws(random_state)
        z = rng.multivariate_normal(self.code_mean_, self.code_covariance_, n, check_valid="ignore")
        decoder, likelihood = self.model_.unpack(self._params)[-2:]
        out = self.model_.decoder.forward(decoder, z.astype(self._params.dtype))[0]
        return self.model_.likelihood.sample(likelihood, out, rng)
