"""The gradient of an expectation: estimators, baselines, costs, and their exact means and variances."""

from minivae.estimators.baselines import Baseline, LearnedBaseline, MovingAverage
from minivae.estimators.costs import Cosine, Cost, Exponential, FunctionCost, Linear, Quadratic, SeparableCost
from minivae.estimators.exact.bits import BernoulliExpectation, all_states
from minivae.estimators.exact.costs import exact_moments, variance_crossings
from minivae.estimators.exact.elbo import elbo_gradient_moments
from minivae.estimators.moments import Moments, RunningMoments, Summary, summarize
from minivae.estimators.on_costs import (
    ESTIMATORS,
    Estimator,
    ImportanceScore,
    LeaveOneOutScore,
    MeasureValued,
    MovingAverageScore,
    Pathwise,
    ScoreFunction,
    sample_gradients,
)
from minivae.estimators.signals import leave_one_out, leave_one_out_signal, optimal_baseline

__all__ = [
    "ESTIMATORS",
    "Baseline",
    "BernoulliExpectation",
    "Cosine",
    "Cost",
    "Estimator",
    "Exponential",
    "FunctionCost",
    "ImportanceScore",
    "LearnedBaseline",
    "LeaveOneOutScore",
    "Linear",
    "MeasureValued",
    "Moments",
    "MovingAverage",
    "MovingAverageScore",
    "Pathwise",
    "Quadratic",
    "RunningMoments",
    "ScoreFunction",
    "SeparableCost",
    "Summary",
    "all_states",
    "elbo_gradient_moments",
    "exact_moments",
    "leave_one_out",
    "leave_one_out_signal",
    "optimal_baseline",
    "sample_gradients",
    "summarize",
    "variance_crossings",
]
