"""What the three transformers share: scikit-learn's checks of the data, names of the codes, and the score."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from minivae.core.arrays import Array

_FLOATS = (np.float64, np.float32)


class Codes(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A transformer from rows to codes and back, with a score for each row.

    Data are arrays or DataFrames of shape (n_samples, n_features); float32 stays float32, all else is float64.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _rows(self, X: Any, *, new: bool = False, least: int = 1) -> Array:
        """Return rows that are as scikit-learn has them; of the width that is known, unless they are the first."""
        if not new:
            check_is_fitted(self)
        return validate_data(self, X, dtype=_FLOATS, reset=new, ensure_min_samples=least, order="C")

    def _codes(self, Z: Any) -> Array:
        """Return codes of the width that transform gives."""
        check_is_fitted(self)
        Z = check_array(Z, dtype=_FLOATS, order="C", input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z must have the {self._n_features_out} columns that transform gives, got {Z.shape[1]}. Give codes."
            )
        return Z

    @property
    def _n_features_out(self) -> int:
        """Width of the codes, for the names that get_feature_names_out makes."""
        raise NotImplementedError

    def score_samples(self, X: Any) -> Array:
        """Return a log-density of each row, in nats, shape (n_samples,)."""
        raise NotImplementedError

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Return the mean of ``score_samples``: what a search maximises; y is ignored."""
        return float(np.mean(self.score_samples(X)))
