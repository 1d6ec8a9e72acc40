"""What the commands measure and draw."""

from minivae.studies import plots
from minivae.studies.collapse import collapse, mutual_information
from minivae.studies.gradients import gradient_checks
from minivae.studies.one_bit import one_bit_data, one_bit_loss, one_bit_optimum
from minivae.studies.rate_distortion import rate_distortion

__all__ = [
    "collapse",
    "gradient_checks",
    "mutual_information",
    "one_bit_data",
    "one_bit_loss",
    "one_bit_optimum",
    "plots",
    "rate_distortion",
]
