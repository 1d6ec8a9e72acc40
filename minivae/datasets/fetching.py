"""Where the files of the known data sets are looked for, and how they are fetched and checked."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from minivae.core.errors import FileError
from minivae.core.tuning import user_cache


@dataclass(frozen=True)
class _Remote:
    """A file of a known data set: where it stands in a data folder, where it comes from, its sha256."""

    path: str
    url: str
    sha256: str


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"


_LAROCHELLE = "https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"


_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/"


FILES = {
    "mnist train images": _Remote(
        "mnist/train-images-idx3-ubyte.gz",
        _MNIST + "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "mnist train labels": _Remote(
        "mnist/train-labels-idx1-ubyte.gz",
        _MNIST + "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "mnist test images": _Remote(
        "mnist/t10k-images-idx3-ubyte.gz",
        _MNIST + "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "mnist test labels": _Remote(
        "mnist/t10k-labels-idx1-ubyte.gz",
        _MNIST + "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fixed train": _Remote(
        "binarized_mnist/binarized_mnist_train.amat",
        _LAROCHELLE + "binarized_mnist_train.amat",
        "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    ),
    "fixed valid": _Remote(
        "binarized_mnist/binarized_mnist_valid.amat",
        _LAROCHELLE + "binarized_mnist_valid.amat",
        "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    ),
    "fixed test": _Remote(
        "binarized_mnist/binarized_mnist_test.amat",
        _LAROCHELLE + "binarized_mnist_test.amat",
        "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
    ),
    "frey": _Remote(
        "frey/frey_rawface.mat",
        "https://cs.nyu.edu/~roweis/data/frey_rawface.mat",
        "265a83a23adb081755cd3de375509828e690324d1d60f076b8ecebc840d59c64",
    ),
    "iris": _Remote(
        "tabular/iris.data",
        _UCI + "iris/iris.data",
        "6f608b71a7317216319b4d27b4d9bc84e6abd734eda7872b71a458569e2656c0",
    ),
    "wine": _Remote(
        "tabular/wine.data",
        _UCI + "wine/wine.data",
        "6be6b1203f3d51df0b553a70e57b8a723cd405683958204f96d23d7cd6aea659",
    ),
}


# The same bits as the three .amat files, eight to a byte; read in their place where it is there.
PACKED = _Remote(
    "binarized_mnist/binarized_mnist_packed.npz",
    "",
    "50de2c8299a5a297789293ab2c30f6fc3cb8c359a15e5e88d5501aa18ebb8fa5",
)


def data_folders() -> list[Path]:
    """Return the folders in which data files are looked for: MINIVAE_DATA if set, then the user's cache."""
    cache = user_cache()
    given = os.environ.get("MINIVAE_DATA")
    return [Path(os.path.expanduser(given)), cache] if given else [cache]


# ------------------------------------------------------------------------------------- finding the files


def find(file: _Remote) -> Path | None:
    """Return the checked local copy of a file, or None where there is none."""
    for folder in data_folders():
        path = folder / file.path
        if path.is_file():
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != file.sha256:
                raise FileError(
                    f"data file {path} must have sha256 {file.sha256[:12]}..., got {found[:12]}...: it is truncated "
                    f"or corrupted. Delete it, and it is fetched again."
                )
            return path
    return None


def fetch(file: _Remote) -> Path:
    """Return a checked copy of a file, downloading it into the user's cache if it is nowhere else."""
    found = find(file)
    if found is not None:
        return found
    looked = " and ".join(str(folder) for folder in data_folders())
    missing = f"data file {file.path} must be in one of the data folders, got none in {looked}."
    try:
        import pooch
    except ImportError:
        raise FileError(
            f"{missing} Put it there and set MINIVAE_DATA to the folder, or let minivae download it: "
            f'pip install "minivae[data]".'
        ) from None
    target = data_folders()[-1] / file.path
    try:
        pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=target.name, path=target.parent)
    except Exception as error:  # pooch passes on what requests, urllib3 and the file system raise
        wrong_checksum = isinstance(error, ValueError)
        reason = str(error)[:100] if wrong_checksum else type(error).__name__
        raise FileError(
            f"{missing} Downloading {file.url} failed ({reason}). If you are offline, "
            f"put the file there by hand and set MINIVAE_DATA to the folder."
        ) from error
    return target
