"""What the commands measure and draw."""

from minivae.studies import plots
from minivae.studies.attributes import measure_attribute, nearer_to_second
from minivae.studies.gradients import gradient_checks
from minivae.studies.limit import Approach, limit_to_autoencoder

__all__ = ["Approach", "gradient_checks", "limit_to_autoencoder", "measure_attribute", "nearer_to_second", "plots"]
