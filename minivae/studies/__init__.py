"""What the commands measure and draw."""

from minivae.studies import plots
from minivae.studies.attributes import measure_attribute, nearer_to_second
from minivae.studies.blur import (
    OneBit,
    SharedCode,
    best_one_bit,
    fit_one_bit,
    fit_shared_code,
    measure_sharpness,
    mixture_cost,
    sharpness,
)
from minivae.studies.gradients import gradient_checks
from minivae.studies.limit import Approach, limit_to_autoencoder

__all__ = [
    "Approach",
    "OneBit",
    "SharedCode",
    "best_one_bit",
    "fit_one_bit",
    "fit_shared_code",
    "gradient_checks",
    "limit_to_autoencoder",
    "measure_attribute",
    "measure_sharpness",
    "mixture_cost",
    "nearer_to_second",
    "plots",
    "sharpness",
]
