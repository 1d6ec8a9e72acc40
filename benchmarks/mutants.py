"""Change one sign, factor, axis or index of the package at a time, and see whether the tests notice.

    python -m benchmarks.mutants --sample 20

``mutants.toml`` holds the edits, each of which changes a number that a user can see. An edit is made in a temporary
copy of the tree. First run the tests nearest to the file, then the rest of the room's tests and the file's doctests,
with ``--all`` then the whole suite; the first failure catches it, and so does a run without end. Only tests that pass
without the edit count. Kernels that an edit may reach are compiled anew, the others are taken from a warm cache.

The exit code is 0 if at least 97 % of the edits are caught, 1 if fewer are, 2 if an edit does not fit the source or
the tests fail without one. Edits marked equivalent, with the reason, change nothing that can be seen; none is run.
"""

import argparse
import contextlib
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
EDITS = Path(__file__).with_suffix(".toml")
ENOUGH = 0.97
KERNELS, CONSTANTS = "minivae/core/kernels", "minivae/core/kernels/compiled.py"  # constants go into every kernel
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "runs")

Stage = tuple[str, tuple[str, ...]]  # a name, and the arguments of pytest


class CannotJudgeError(Exception):
    """An edit that does not fit the source, or tests that fail without one."""


@dataclass(frozen=True)
class Edit:
    """One change of one file.

    Attributes
    ----------
    file, old, new : str
    near : tuple of str
        Test files, the one that should catch it first.
    which : int
        Which of several equal texts is meant, counted from 1; 0 where there must be one only.
    equivalent : str
        Why nobody can see the change; empty where one can.
    """

    file: str
    old: str
    new: str
    near: tuple[str, ...] = ()
    which: int = 0
    equivalent: str = ""

    def split(self, source: str) -> tuple[str, str]:
        """Return what stands in the source before the old text and after it."""
        parts = source.split(self.old)
        found, at = len(parts) - 1, self.which or 1
        if found < at or (not self.which and found > 1):
            raise CannotJudgeError(f"{self.file} must hold {self.old!r} once, got it {found} times. Mend the edit.")
        return self.old.join(parts[:at]), self.old.join(parts[at:])

    def applied(self, source: str) -> str:
        """Return the source with the edit made."""
        before, after = self.split(source)
        return before + self.new + after

    def stages(self, everything: bool) -> Iterator[Stage]:
        """Yield the tests in the order in which they are run."""
        yield "near", self.near
        room = f"tests/{Path(self.file).parts[1]}"
        doctests = (self.file,) if self.file.endswith(".py") else ()
        yield "room", (room, *doctests, *(f"--ignore={file}" for file in self.near))
        if everything:
            yield "suite", (f"--ignore={room}", *(f"--ignore={file}" for file in self.near))


def read(path: Path = EDITS) -> list[Edit]:
    """Return the edits of a file."""
    tables = tomllib.loads(path.read_text())
    return [Edit(file, near=tuple(table["near"]), **edit) for file, table in tables.items() for edit in table["edits"]]


class Copy:
    """A copy of the tree in which one edit after the other is tried."""

    def __init__(self, source: Path, folder: Path, seconds: float) -> None:
        self.tree, self.warm, self.own = folder / "tree", folder / "warm", folder / "own"  # caches of Numba's
        self.seconds = seconds
        shutil.copytree(source, self.tree, ignore=_LEFT_OUT)
        self.warm.mkdir()
        self.passed: set[tuple[str, ...]] = set()

    def passes(self, tests: tuple[str, ...], cache: Path, **more: str) -> bool | None:
        """Run tests in the copy; None where they do not end."""
        own = {"PYTHONPATH": str(self.tree), "NUMBA_CACHE_DIR": str(cache)}
        # installed plugins take half the time of a short run, and no test needs one
        env = {**os.environ, **own, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **more}
        if env.get("MINIVAE_DATA"):
            env["MINIVAE_DATA"] = str(Path(env["MINIVAE_DATA"]).resolve())
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        process = subprocess.Popen(command, cwd=self.tree, env=env, **quiet)
        try:
            code = process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):  # its group: the tests start processes, too
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code == 4:
            raise CannotJudgeError(f"pytest must find its tests, got {' '.join(tests)}. Mend the list of near tests.")
        return code in (0, 5)  # 5: there are none

    def outcome(self, edit: Edit, everything: bool = False) -> str:
        """Return the stage at which an edit is caught, "hang" or "survived"."""
        path, cache = self.tree / edit.file, self.warm
        source, times = path.read_text(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        for name, tests in edit.stages(everything):
            if tests not in self.passed:
                if not self.passes(tests, self.warm):
                    raise CannotJudgeError(f"the tests must pass without an edit, got a failure of {' '.join(tests)}.")
                self.passed.add(tests)
            if edit.file.startswith(KERNELS):
                cache = self.own
                shutil.rmtree(cache, ignore_errors=True)
                if edit.file != CONSTANTS:  # in it Numba sees by the time of a file that it was edited
                    shutil.copytree(self.warm, cache)
            path.write_text(edit.applied(source))
            os.utime(path, (0, 0))  # long before the source: neither Python nor Numba takes one for the other
            try:
                passes = self.passes(tests, cache, PYTHONDONTWRITEBYTECODE="1")
            finally:
                path.write_text(source)
                os.utime(path, ns=times)
            if not passes:
                return "hang" if passes is None else name
        return "survived"


def judge(
    edits: list[Edit], source: Path = ROOT, *, everything: bool = False, jobs: int = 1, seconds: float = 600.0
) -> list[dict[str, Any]]:
    """Return a row for each edit, with the stage at which it was caught."""
    lines = [edit.split((source / edit.file).read_text())[0].count("\n") + 1 for edit in edits]  # all must fit
    copies: queue.Queue[Copy] = queue.Queue()
    rows: list[dict[str, Any]] = []

    def row(edit: Edit, line: int) -> dict[str, Any]:
        found = {"file": edit.file, "line": line, "old": edit.old, "new": edit.new}
        if edit.equivalent:
            return {**found, "outcome": "equivalent", "reason": edit.equivalent}
        copy, start = copies.get(), time.monotonic()
        try:
            return {**found, "outcome": copy.outcome(edit, everything), "seconds": time.monotonic() - start}
        finally:
            copies.put(copy)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        for i in range(jobs):
            copies.put(Copy(source, Path(folder) / str(i), seconds))
        try:
            for found in tqdm(pool.map(row, edits, lines), total=len(edits), unit="edit", disable=None):
                rows.append(found)
                if found["outcome"] == "survived":
                    tqdm.write(_words(found))
        finally:
            pool.shutdown(cancel_futures=True)
    return rows


def _words(row: dict[str, Any]) -> str:
    return f"{row['outcome']}: {row['file']}:{row['line']}\n  - {row['old']}\n  + {row['new']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="SUBSTRING", default="", help="edits of files whose path contains it")
    parser.add_argument("--sample", type=int, metavar="N", help="N edits, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=1, help="edits tried side by side, each in a copy of its own")
    parser.add_argument("--all", action="store_true", help="run the whole suite on what the room's tests let pass")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds after which tests are said to hang")
    parser.add_argument("--list", action="store_true", help="print the edits, and run none")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    edits = [edit for edit in read() if options.only in edit.file]
    if options.sample is not None:
        edits = random.Random(options.seed).sample(edits, min(options.sample, len(edits)))
    if options.list:
        for edit in edits:
            print(f"{edit.file}{' (equivalent: ' + edit.equivalent + ')' if edit.equivalent else ''}")
            print(f"  - {edit.old}\n  + {edit.new}")
        return
    # a shell's background processes ignore it, and so would the tests of an interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        rows = judge(edits, everything=options.all, jobs=options.jobs, seconds=options.timeout)
    except CannotJudgeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    stages = ("near", "room", "suite", "hang", "survived", "equivalent")
    print(f"{'file':<44}" + "".join(f"{stage:>11}" for stage in stages))
    for file in dict.fromkeys(edit.file for edit in edits):
        count = Counter(row["outcome"] for row in rows if row["file"] == file)
        print(f"{file:<44}" + "".join(f"{count[stage] or '-':>11}" for stage in stages))
    tried = [row for row in rows if row["outcome"] != "equivalent"]
    caught = sum(row["outcome"] != "survived" for row in tried)
    print(f"{caught} of {len(tried)} edits are caught ({caught / max(len(tried), 1):.1%})")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2) + "\n")
    sys.exit(caught < ENOUGH * len(tried))


if __name__ == "__main__":
    main()
