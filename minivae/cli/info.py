"""``minivae info``: versions, BLAS and threads in use, where data are looked for, and hints."""

import argparse
import os
import platform

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb, no_options
from minivae.core import tuning
from minivae.core.versions import versions
from minivae.datasets.fetching import data_folders
from minivae.training.arithmetic import load_blas


def _run(options: argparse.Namespace) -> Outcome:
    """Show versions, BLAS and threads, data folders and hints."""
    from threadpoolctl import threadpool_info

    load_blas()  # so that it is listed
    rows: Rows = [{"name": name, "value": value} for name, value in versions().items()]
    rows.append({"name": "processor", "value": f"{platform.machine()}, {os.cpu_count()} cores"})
    for pool in threadpool_info():
        kind = "BLAS" if pool["user_api"] == "blas" else pool["user_api"]
        text = f"{pool['internal_api']} {pool.get('version') or ''} {pool.get('architecture', '')}".rstrip()
        rows.append({"name": kind, "value": f"{text}, {pool['num_threads']} threads"})
    rows += [{"name": name, "value": value} for name, value in tuning.DONE.items()]
    for folder in data_folders():
        state = "" if folder.is_dir() else " (not there yet)"
        rows.append({"name": "data folder", "value": f"{folder}{state}"})
    if "MINIVAE_DATA" not in os.environ:
        hint = "set MINIVAE_DATA to a folder that holds mnist/, frey/ ... to use data that are already on disk"
        rows.append({"name": "hint", "value": hint})
    if not options.json:
        print_table(rows)
    return 0, rows, {}


VERB = Verb(
    "info", "show versions, BLAS and threads, where data are looked for, and hints", no_options, _run, seeded=False
)
