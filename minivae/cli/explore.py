"""``minivae explore``: one HTML file in which a person moves through a run's model."""

import argparse
from pathlib import Path

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core.errors import FileError
from minivae.core.files import write_atomically
from minivae.studies.explorer import Trained, explorer_page
from minivae.training import runs
from minivae.training.runs import Run

_LARGE = 20e6  # bytes


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    parser.add_argument("--out", metavar="FILE", help="the page, FILE.html (default RUN/explorer.html)")
    several = "runs on the same data with other betas: a slider goes along them"
    parser.add_argument("--beta-runs", nargs="+", metavar="RUN", default=[], help=several)


def _run(options: argparse.Namespace) -> Outcome:
    """Write the page of a run, or of several that differ in beta."""
    run = runs.open_run(options.run_folder)
    out = _page_path(options.out, run)
    others = [runs.open_run(folder) for folder in options.beta_runs]
    for other in others:
        if (other.source, other.image_shape) != (run.source, run.image_shape):
            raise ValueError(
                f"beta-runs must be on the data of the run, {run.source}, got {other.folder}, which is on "
                f"{other.source}. Leave it out."
            )
    trained = [Trained(one.model, runs.read_model(one), one.settings.objective) for one in (run, *others)]
    dataset = run.dataset()
    for other in others:
        other.dataset()  # refuses data that have changed since
    x = runs.rows_to_test_on(dataset, run.settings.seed)
    page = explorer_page(trained, dataset, x, run.folder.resolve().name).encode()
    write_atomically(out, page)
    rows: Rows = [{"file": str(out), "bytes": len(page), "models": len(trained)}]
    if not options.json:
        print_table(rows)
        print("\nOpen it in a browser; it needs no network.")
        if len(page) > _LARGE:
            print(f"note: {len(page) / 1e6:.0f} MB, which a phone may be slow to open; a narrower network is smaller.")
    return 0, rows, {"run": str(run.folder), "beta_runs": list(options.beta_runs), "out": str(out)}


def _page_path(wanted: str | None, run: Run) -> Path:
    """Return where the page goes, or refuse what names no page, before any work."""
    if wanted is None:
        return run.folder / "explorer.html"
    path = Path(wanted)
    if path.suffix not in (".html", ".htm") or not path.stem:
        raise ValueError(f"out must end in .html, got {wanted!r}. For example explorer.html.")
    if path.is_dir():
        raise FileError(f"out must be a file, got {path}, which is a folder. Add a name to it.")
    if not path.parent.is_dir():
        raise FileError(f"out must be in a folder that is there, got {path}. Make {path.parent} first.")
    return path


VERB = Verb("explore", "write one HTML file in which to move through a run's model", _options, _run, seeded=False)
