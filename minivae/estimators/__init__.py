"""The gradient of an expectation: estimators, objectives, baselines, costs, and their exact means and variances."""

from minivae.estimators.baselines import Baseline, Centred, LearnedBaseline, MovingAverage, NormalisedBaseline
from minivae.estimators.codes import QuadraticForm, code_gradients, squared_distance
from minivae.estimators.control import Control, ControlNetwork, LearnedControl
from minivae.estimators.costs import Cosine, Cost, Exponential, FunctionCost, Linear, Quadratic, SeparableCost
from minivae.estimators.exact.bits import BernoulliExpectation
from minivae.estimators.exact.codes import code_moments, gumbel_softmax_slope
from minivae.estimators.exact.costs import exact_moments, variance_crossings
from minivae.estimators.exact.elbo import elbo_gradient_moments
from minivae.estimators.k_sample import BOUNDS, KSampleBound
from minivae.estimators.moments import Moments, RunningMoments, Summary, summarize
from minivae.estimators.objectives import Elbo, Objective, Reconstruction
from minivae.estimators.on_costs import (
    COST_ESTIMATORS,
    CostEstimator,
    ImportanceScore,
    LeaveOneOutScore,
    MeasureValued,
    MovingAverageScore,
    Pathwise,
    ScoreFunction,
    sample_gradients,
)
from minivae.estimators.schedules import BetaSchedule, Cycle, Warmup
from minivae.estimators.second_pass import SecondPass
from minivae.estimators.signals import leave_one_out, leave_one_out_signal, optimal_baseline
from minivae.estimators.terms import ElboTerms, KSampleTerms, ReconstructionTerms
from minivae.estimators.weights import ESTIMATORS, Draws, Estimator, Weights

__all__ = [
    "BOUNDS",
    "COST_ESTIMATORS",
    "ESTIMATORS",
    "Baseline",
    "BernoulliExpectation",
    "BetaSchedule",
    "Centred",
    "Control",
    "ControlNetwork",
    "Cosine",
    "Cost",
    "CostEstimator",
    "Cycle",
    "Draws",
    "Elbo",
    "ElboTerms",
    "Estimator",
    "Exponential",
    "FunctionCost",
    "ImportanceScore",
    "KSampleBound",
    "KSampleTerms",
    "LearnedBaseline",
    "LearnedControl",
    "LeaveOneOutScore",
    "Linear",
    "MeasureValued",
    "Moments",
    "MovingAverage",
    "MovingAverageScore",
    "NormalisedBaseline",
    "Objective",
    "Pathwise",
    "Quadratic",
    "QuadraticForm",
    "Reconstruction",
    "ReconstructionTerms",
    "RunningMoments",
    "ScoreFunction",
    "SecondPass",
    "SeparableCost",
    "Summary",
    "Warmup",
    "Weights",
    "code_gradients",
    "code_moments",
    "elbo_gradient_moments",
    "exact_moments",
    "gumbel_softmax_slope",
    "leave_one_out",
    "leave_one_out_signal",
    "optimal_baseline",
    "sample_gradients",
    "squared_distance",
    "summarize",
    "variance_crossings",
]
