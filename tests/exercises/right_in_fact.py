"""What changes a solution without making it wrong, and why, beside the name of the change in ``mutants.py``."""

NOT_NEGATIVE = "the answer is never negative"
ORDER = "the order of the examples, or of the draws, is free where they are added up or averaged"
VECTOR = "a vector is its own transpose"
LAST_COLUMN = "the last column is masked whole"


def reordered(argument, axis, why):
    return {f"argument {argument} {how} along axis {axis}": why for how in ("reversed", "rolled")}


def uniform(argument, why="uniform numbers lie between 0 and 1"):
    return {f"argument {argument} {how}": why for how in ("absolute", "clipped")}


def probabilities(argument):
    return uniform(argument, "probabilities lie between 0 and 1")


RIGHT = {
    "autoencoders.squared-error": {
        "part 0 absolute": NOT_NEGATIVE,
        "arguments 0 and 1 exchanged": "x - x_hat is squared, so its sign is free",
    },
    "autoencoders.denoising-loss": {"part 0 absolute": NOT_NEGATIVE},
    "autoencoders.sparsity": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 0 absolute": "activations lie between 0 and 1",
        "argument 0 clipped": "activations lie between 0 and 1",
        "argument 0 averaged over axis 0": "only the mean activation of each unit counts",
        **reordered(0, 0, ORDER),
        **reordered(0, 1, "the units are added up"),
    },
    "autoencoders.jacobian-penalty": {
        "part 0 absolute": NOT_NEGATIVE,
        **reordered(2, 0, ORDER),
    },
    "pca.components": {
        "times -1": "the sign of a component is free",
        "part 0 with its sign turned": "the sign of a component is free",
        "argument 0 with its sign turned": "-x varies along the same directions",
        "argument 0 doubled": "2 x varies along the same directions",
        "argument 0 plus 0.1": "the mean is taken away",
        **reordered(0, 0, ORDER),
    },
    "pca.power-iteration": {
        "argument 0 doubled": "v is shortened to length one",
        "argument 0 transposed": "S is symmetric",
        "part 0 transposed": VECTOR,
    },
    "pca.deflate": {
        "argument 0 transposed": "S is symmetric",
        "part 0 transposed": "S is symmetric",
        "argument 1 with its sign turned": "u u^T does not know the sign of u",
        "argument 1 clipped": "no entry of a vector of length one is above one",
    },
    "pca.linear-gradient": {
        "argument 2 with its sign turned": "the error of -x is that of x",
        **reordered(2, 0, ORDER),
    },
    "pca.subspace-distance": {
        "part 0 absolute": NOT_NEGATIVE,
        "arguments 0 and 1 exchanged": "the distance of two subspaces of one dimension is symmetric",
        **{
            f"argument {i} {change}": "another basis of the same subspace"
            for i in (0, 1)
            for change in ("with its sign turned", "doubled", "reversed along axis 0", "rolled along axis 0")
        },
    },
    "backprop.dense-backward": {"part 2 transposed": VECTOR},
    "backprop.tanh-backward": {
        "argument 0 with its sign turned": "only y^2 counts",
        "argument 0 absolute": "only y^2 counts",
        "argument 0 clipped": "y lies between -1 and 1",
    },
    "backprop.two-layer-gradient": {"part 1 transposed": VECTOR, "part 3 transposed": VECTOR},
    "backprop.central-slope": {"argument 3 with its sign turned": "h and -h are the same two points"},
    "estimators.pathwise": {"part 0 transposed": VECTOR, "part 1 transposed": VECTOR},
    "estimators.score-function": {"part 0 transposed": VECTOR, "part 1 transposed": VECTOR},
    "estimators.optimal-baseline": {
        "argument 1 with its sign turned": "only s^2 counts",
        "argument 1 absolute": "only s^2 counts",
        "argument 1 doubled": "the weights s^2 are divided by their sum",
    },
    "estimators.leave-one-out-gradient": {
        "argument 0 plus 0.1": "a constant in f drops out",
        "argument 1 plus 0.1": "the differences f_i - c_i add up to zero, so a constant in s drops out, too",
        "arguments 0 and 1 exchanged": "it is a covariance, which is symmetric",
    },
    "estimators.standard-error": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 0 with its sign turned": "the spread of -g is that of g",
        "argument 0 plus 0.1": "the spread does not know the mean",
        **reordered(0, 0, ORDER),
    },
    "vae.kl": {
        "part 0 absolute": NOT_NEGATIVE,
        "part 0 transposed": VECTOR,
        "argument 0 with its sign turned": "only mu^2 counts",
        "argument 0 absolute": "only mu^2 counts",
        **{
            f"argument {i} {change} along axis 1": "mu^2 and the function of log_var are added up, each by itself"
            for i in (0, 1)
            for change in ("reversed", "rolled")
        },
    },
    "vae.log-bernoulli": {
        "part 0 transposed": VECTOR,
        "argument 1 absolute": "pixels are 0 or 1",
        "argument 1 clipped": "pixels are 0 or 1",
    },
    "vae.elbo": {
        "part 0 transposed": VECTOR,
        "argument 1 absolute": "a KL is never negative",
        "argument 0 averaged over axis 0": "only the mean over the draws counts",
        **reordered(0, 0, ORDER),
    },
    "bugs.repaired-vae": {
        "part 0 absolute": "minus log p(x|z) of binary pixels and a KL are never negative",
        **{f"part {i} transposed": VECTOR for i in range(6, 11)},
        "argument 1 absolute": "pixels are 0 or 1",
        "argument 1 clipped": "pixels are 0 or 1",
        **reordered(2, 0, ORDER),
    },
    "latent_variables.cross-entropy": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 0 doubled": "the counts are divided by their sum",
        "argument 0 absolute": "counts are not negative",
        **probabilities(1),
    },
    "latent_variables.responsibilities": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 1 doubled": "a factor of all weights cancels",
        **probabilities(1),
        "argument 3 absolute": "a variance is positive",
    },
    "latent_variables.m-step": {
        "part 0 absolute": "a weight is not negative",
        "part 0 transposed": VECTOR,
        "part 2 absolute": "a variance is not negative",
        "part 2 transposed": VECTOR,
        **probabilities(1),
    },
    "latent_variables.free-energy": {"part 0 transposed": VECTOR, **probabilities(1)},
    "latent_variables.grid-posterior": {"part 1 absolute": "a density is not negative", "part 1 transposed": VECTOR},
    "inference.jensen-gap": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 0 plus 0.1": "a factor of w cancels",
        **probabilities(1),
    },
    "inference.mean-field-sweep": {
        "part 0 transposed": VECTOR,
        "argument 0 transposed": "a precision is symmetric",
    },
    "inference.metropolis-step": uniform(3),
    "inference.elbo-gradient": {
        "part 0 transposed": VECTOR,
        "part 1 transposed": VECTOR,
        **reordered(3, 0, ORDER),
    },
    "families.weibull": {
        "part 0 absolute": "a Weibull draw is positive",
        **{f"part {i} transposed": VECTOR for i in range(3)},
        "part 1 absolute": "z and the scale are positive, and so is z / scale",
        **uniform(0),
    },
    "families.implicit-path": {
        "part 0 transposed": VECTOR,
        "argument 4 with its sign turned": "h and -h are the same two points",
    },
    "families.dirichlet-path": {
        "part 0 absolute": "the parts of z are positive",
        "argument 0 with its sign turned": "a factor of g cancels",
        "argument 0 doubled": "a factor of g cancels",
        "argument 0 absolute": "gamma draws are positive",
    },
    "families.uniform-gradient": {"part 0 transposed": VECTOR, **uniform(2)},
    "beyond_the_diagonal.general-kl": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 1 transposed": "a covariance is symmetric",
        "argument 3 transposed": "a covariance is symmetric",
        "arguments 0 and 2 exchanged": "the means count by a form of their difference, whose sign is free",
    },
    "beyond_the_diagonal.masked-factor": {"argument 1 without the last of axis 2": LAST_COLUMN},
    "beyond_the_diagonal.log-q-of-draw": {
        "part 0 transposed": VECTOR,
        "argument 0 with its sign turned": "only eps^2 counts",
        "argument 0 absolute": "only eps^2 counts",
        **reordered(0, 1, "the squares are added up"),
        "argument 1 with its sign turned": "only |det J| counts",
        **reordered(1, 1, "another order of the rows leaves |det J| as it is"),
        **reordered(1, 2, "another order of the columns leaves |det J| as it is"),
    },
    "beyond_the_diagonal.autoregressive-step": {
        "part 1 transposed": VECTOR,
        "argument 1 without the last of axis 1": LAST_COLUMN,
        "argument 3 without the last of axis 1": LAST_COLUMN,
    },
    "beyond_the_diagonal.undo-step": {
        "argument 1 without the last of axis 1": LAST_COLUMN,
        "argument 3 without the last of axis 1": LAST_COLUMN,
    },
    "how_good_is_the_model.log-mean-weight": {"part 0 transposed": VECTOR, **reordered(0, 0, ORDER)},
    "how_good_is_the_model.weights-that-count": {
        "part 0 absolute": NOT_NEGATIVE,
        "part 0 transposed": VECTOR,
        "argument 0 plus 0.1": "a factor of the weights cancels",
        **reordered(0, 0, ORDER),
    },
    "how_good_is_the_model.draws-needed": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 0 with its sign turned": "only W^T W counts",
        **reordered(0, 0, "the order of the pixels is free"),
        **reordered(0, 1, "the order of the latents is free"),
        "argument 2 with its sign turned": "only the square of the error counts",
    },
    "how_good_is_the_model.annealed-log-weight": {
        "part 0 transposed": VECTOR,
        "argument 1 plus 0.1": "only the differences of the exponents count",
        "argument 1 absolute": "the exponents lie between 0 and 1",
        "argument 1 clipped": "the exponents lie between 0 and 1",
    },
    "collapse_and_blur.regularised-loss": {
        "part 0 absolute": NOT_NEGATIVE,
        "part 0 transposed": VECTOR,
        "argument 1 with its sign turned": "only f^2 counts",
        "argument 1 absolute": "only f^2 counts",
        **reordered(1, 1, "the squares are added up"),
        **reordered(2, 0, ORDER),
        "argument 3 with its sign turned": "only sigma_g^2 counts",
    },
    "collapse_and_blur.water-filling": {
        "part 0 absolute": "a rate is not negative",
        "part 1 absolute": "a distortion is not negative",
        "argument 0 absolute": "a variance is not negative",
        **reordered(0, 0, "the directions are added up"),
    },
    "collapse_and_blur.one-bit-cost": {"part 0 absolute": NOT_NEGATIVE},
    "collapse_and_blur.shared-code-cost": {
        "part 0 absolute": NOT_NEGATIVE,
        "argument 0 with its sign turned": "the distances of the negatives are those of the images",
        "argument 0 plus 0.1": "the mean is taken away",
        **reordered(0, 0, ORDER),
        **reordered(0, 1, "the pixels are added up"),
    },
    "generation.pixels-drawn": {"part 0 absolute": "pixels are 0 or 1", **uniform(1)},
    "generation.arc": {
        "argument 2 absolute": "from a to b the times lie between 0 and 1",
        "argument 2 clipped": "from a to b the times lie between 0 and 1",
    },
    "generation.attribute-vector": {
        "part 0 transposed": VECTOR,
        "argument 0 plus 0.1": "what all codes have in common drops out",
        "argument 1 absolute": "True and False have no sign",
    },
    "discrete_latents.enumerated-gradient": {
        "part 0 transposed": VECTOR,
        "argument 1 absolute": "bits are 0 or 1",
        "argument 1 clipped": "bits are 0 or 1",
        "argument 2 plus 0.1": "the mean of the score is zero, so a constant in f drops out",
    },
    "discrete_latents.straight-through": uniform(2),
    "discrete_latents.relaxed-gradient": uniform(2),
    "discrete_latents.arm-gradient": uniform(2),
    "images_and_sequences.conv-size": {"part 0 absolute": NOT_NEGATIVE},
    "images_and_sequences.conv-backward": {"part 0 transposed": VECTOR, "part 1 transposed": VECTOR},
    "images_and_sequences.rnn-backward": {"part 2 transposed": VECTOR},
    "images_and_sequences.clip-by-norm": {"part 0 transposed": VECTOR},
}
