"""Layers with hand-written backward, optimisers, and the gradient check."""

from minivae.nn.activations import ACTIVATIONS, ELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from minivae.nn.dense import Dense
from minivae.nn.front import Front
from minivae.nn.gradcheck import GradCheck, check_gradient
from minivae.nn.layer import Layer
from minivae.nn.masked import MaskedDense
from minivae.nn.optim import OPTIMIZERS, SGD, Adam, Optimizer, RMSprop, StepDecay, clip_by_norm
from minivae.nn.sequential import Sequential, mlp

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "OPTIMIZERS",
    "SGD",
    "Activation",
    "Adam",
    "Dense",
    "Front",
    "GradCheck",
    "Layer",
    "MaskedDense",
    "Optimizer",
    "RMSprop",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "StepDecay",
    "Tanh",
    "check_gradient",
    "clip_by_norm",
    "mlp",
]
