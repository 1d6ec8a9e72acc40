"""What the commands measure and draw."""

from minivae.studies import plots
from minivae.studies.gradients import gradient_checks

__all__ = ["gradient_checks", "plots"]
