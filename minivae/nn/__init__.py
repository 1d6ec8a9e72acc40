"""Layers with hand-written backward, optimisers, and the gradient check."""

from minivae.nn.activations import ACTIVATIONS, ELU, Activation, ReLU, Sigmoid, Softplus, Tanh
from minivae.nn.convolution import Conv2d, ConvTranspose2d
from minivae.nn.dense import Dense
from minivae.nn.dropout import Dropout
from minivae.nn.front import Front
from minivae.nn.gradcheck import GradCheck, check_gradient
from minivae.nn.layer import Layer
from minivae.nn.masked import MaskedDense
from minivae.nn.normalisation import LayerNorm
from minivae.nn.optim import OPTIMIZERS, SGD, Adam, Optimizer, RMSprop, StepDecay, clip_by_norm
from minivae.nn.pooling import AveragePool, MaxPool, Upsample
from minivae.nn.recurrent import GRU, LSTM, RNN
from minivae.nn.residual import Residual
from minivae.nn.sequential import Sequential, mlp
from minivae.nn.steps import Bidirectional, Repeat, Steps

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GRU",
    "LSTM",
    "OPTIMIZERS",
    "RNN",
    "SGD",
    "Activation",
    "Adam",
    "AveragePool",
    "Bidirectional",
    "Conv2d",
    "ConvTranspose2d",
    "Dense",
    "Dropout",
    "Front",
    "GradCheck",
    "Layer",
    "LayerNorm",
    "MaskedDense",
    "MaxPool",
    "Optimizer",
    "RMSprop",
    "ReLU",
    "Repeat",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "StepDecay",
    "Steps",
    "Tanh",
    "Upsample",
    "check_gradient",
    "clip_by_norm",
    "mlp",
]
