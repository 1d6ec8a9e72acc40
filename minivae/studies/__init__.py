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
from minivae.studies.collapse import collapse, mutual_information
from minivae.studies.diagrams import graph
from minivae.studies.diagrams_layers import architecture
from minivae.studies.em_stops import LatentPosterior, latent_posteriors, latent_posteriors_figure
from minivae.studies.explorer import Trained, explorer_page
from minivae.studies.gradients import gradient_checks
from minivae.studies.inference import InferenceTrace, compare_inference, inference_figure, inference_problems
from minivae.studies.limit import Approach, limit_to_autoencoder
from minivae.studies.one_bit import one_bit_data, one_bit_loss, one_bit_optimum
from minivae.studies.rate_distortion import rate_distortion
from minivae.studies.sweep_report import over_seeds, sweep_figure, sweep_rate_figure
from minivae.studies.through_time import clipping, reach_through_time

__all__ = [
    "Approach",
    "InferenceTrace",
    "LatentPosterior",
    "OneBit",
    "SharedCode",
    "Trained",
    "architecture",
    "best_one_bit",
    "clipping",
    "collapse",
    "compare_inference",
    "explorer_page",
    "fit_one_bit",
    "fit_shared_code",
    "gradient_checks",
    "graph",
    "inference_figure",
    "inference_problems",
    "latent_posteriors",
    "latent_posteriors_figure",
    "limit_to_autoencoder",
    "measure_attribute",
    "measure_sharpness",
    "mixture_cost",
    "mutual_information",
    "nearer_to_second",
    "one_bit_data",
    "one_bit_loss",
    "one_bit_optimum",
    "over_seeds",
    "plots",
    "rate_distortion",
    "reach_through_time",
    "sharpness",
    "sweep_figure",
    "sweep_rate_figure",
]
