"""``minivae export`` and ``minivae import``: a run's parameters to and from a state dict that PyTorch reads."""

import argparse
import dataclasses
from pathlib import Path

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.training import runs
from minivae.training.state_dicts import load_state_dict, save_state_dict, state_dict
from minivae.training.storage import save_model


def _export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    parser.add_argument("--out", metavar="FILE", help="where to write (default RUN/model.safetensors)")


def _export(options: argparse.Namespace) -> Outcome:
    """Write the best parameters of a run to a .safetensors file; print what is in it."""
    run = runs.open_run(options.run_folder)
    params = runs.read_model(run)
    path = run.folder / "model.safetensors" if options.out is None else Path(options.out)
    save_state_dict(path, run.model, params)
    rows: Rows = [
        {"name": name, "shape": " x ".join(map(str, array.shape)), "dtype": array.dtype.name}
        for name, array in state_dict(run.model, params).items()
    ]
    if not options.json:
        print_table(rows)
        print(f"\nwritten  {path}")
    return 0, rows, {"run": str(run.folder), "out": str(path)}


def _import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=".safetensors, with the names that minivae export writes")
    parser.add_argument("--run", dest="run_folder", metavar="RUN", required=True, help="whose model and data they are")
    parser.add_argument("--out", metavar="DIR", help="new run folder (default runs/imported-NNN)")


def _import(options: argparse.Namespace) -> Outcome:
    """Make a run folder of another's model and data with the parameters of a file, for evaluate and sample."""
    run = runs.open_run(options.run_folder)
    _, params = load_state_dict(options.file, run.model)
    folder = runs.new_folder(options.out, "imported")
    new = dataclasses.replace(run, folder=folder)
    new.save()
    save_model(folder / "model.npz", run.model, params, source=run.source, imported=str(options.file))
    if not options.json:
        print(f"{len(params):,} parameters of {params.dtype.name}\nrun  {folder}")
    return 0, [], {"run": str(folder), "n_params": len(params), "dtype": params.dtype.name}


EXPORT = Verb("export", "write a run's parameters for PyTorch, as safetensors", _export_options, _export, seeded=False)
IMPORT = Verb("import", "make a run of parameters that PyTorch trained", _import_options, _import, seeded=False)
