"""The exercises of the lectures: ``check`` an answer, find an exercise by its id, check a student's file."""

from typing import Any

from minivae.core import checks
from minivae.exercises import (
    autoencoders,
    backprop,
    beyond_the_diagonal,
    bugs,
    collapse_and_blur,
    discrete_latents,
    estimators,
    families,
    generation,
    how_good_is_the_model,
    images_and_sequences,
    inference,
    latent_variables,
    pca,
    vae,
)
from minivae.exercises.framework import SECONDS, Exercise, Outcome

EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise
    for topic in (
        autoencoders,
        pca,
        backprop,
        estimators,
        vae,
        bugs,
        latent_variables,
        inference,
        families,
        beyond_the_diagonal,
        how_good_is_the_model,
        collapse_and_blur,
        generation,
        discrete_latents,
        images_and_sequences,
    )
    for exercise in topic.EXERCISES
}
LECTURES = {
    "autoencoders": "Autoencoders",
    "pca": "PCA is a linear autoencoder",
    "backprop": "Backprop by hand, and how to trust it",
    "estimators": "The gradient of an expectation",
    "vae": "The VAE from scratch",
    "bugs": "Find the bugs",
    "latent_variables": "Latent variables and maximum likelihood",
    "inference": "Inference",
    "families": "What can be reparameterized",
    "beyond_the_diagonal": "Beyond the diagonal",
    "how_good_is_the_model": "How good is the model?",
    "collapse_and_blur": "Beta, collapse and blur",
    "generation": "Generation",
    "discrete_latents": "Discrete latents",
    "images_and_sequences": "Images and sequences",
}


__all__ = ["EXERCISES", "LECTURES", "Exercise", "Outcome", "check"]


def check(exercise: str, answer: Any, *, seconds: float = SECONDS) -> Outcome:
    """Check an answer to an exercise of the lectures, and say which mistake it looks like.

    The answer is tried against laws (finite differences, closed forms, bounds, shapes) on random inputs that are the
    same every time. Nothing that it does ends in an error here: a wrong shape, an exception, an endless loop and an
    empty function are all answered in a sentence.

    Parameters
    ----------
    exercise : str
        Its id, "vae.kl" say; ``minivae exercises`` lists them.
    answer : callable or value
        What the exercise asks for.
    seconds : float
        Time limit.

    Returns
    -------
    Outcome
        With ``ok``, ``message`` and ``mistake``; a notebook shows it as a box.

    Examples
    --------
    >>> import numpy as np
    >>> def sample_z(mu, log_var, eps):
    ...     return mu + np.exp(log_var) * eps
    >>> outcome = check("vae.sample-z", sample_z)
    >>> outcome.ok, outcome.mistake[:61]
    (False, 'exp(log_var) is the variance; the standard deviation is exp(l')
    """
    if not isinstance(exercise, str):
        raise ValueError(
            f"exercise must be the id of an exercise, got {checks.shown(exercise)}. Call check('vae.kl', your_answer)."
        )
    if exercise not in EXERCISES:
        remedy = checks.did_you_mean(exercise, EXERCISES) or "The command `minivae exercises` lists them all."
        return Outcome(str(exercise), "wrong", f"There is no exercise {exercise!r}. {remedy}")
    return EXERCISES[exercise].check(answer, seconds=seconds)
