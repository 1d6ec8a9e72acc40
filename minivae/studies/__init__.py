"""What the commands measure and draw."""

from minivae.studies import plots
from minivae.studies.gradients import gradient_checks
from minivae.studies.limit import Approach, limit_to_autoencoder

__all__ = ["Approach", "gradient_checks", "limit_to_autoencoder", "plots"]
