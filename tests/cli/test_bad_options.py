"""Every option of every verb meets hostile words: it works, or one line in our words refuses it and nothing is left."""

import argparse
import importlib
import re
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from minivae import cli
from minivae.cli.main import VERBS, parser_of
from minivae.studies import compare_figures, plots, run_figures

WORDS = ("", "x", "-1", "0", "nan", "inf", "1e400", "9" * 20, "1.5", "none", "\u20ac", "x y", "../x", "0x1")
TINY = ["--epochs", "1", "--hidden", "2", "--batch-size", "8"]
BASE = {
    "train": ["--data", "x.npy", "--latent", "1", *TINY, "--quiet"],
    "evaluate": ["run", "--draws", "2"],
    "sample": ["run", "-n", "2"],
    "explore": ["run"],
    "compare": ["--problem", "quadratic", "--samples", "40", "--estimators", "pathwise", "--quiet"],
    "pca": ["--data", "x.npy", "--latent", "1", "--quiet"],
    "infer": [],
    "export": ["run"],
    "import": ["run/model.safetensors", "--run", "run"],
    "sweep": ["data=x.npy", "latent=1", "epochs=1", "hidden=2", "batch-size=8", "--workers", "1", "--quiet"],
    "exercises": ["answers.py", "--seconds", "2"],
    "gradcheck": ["layer.py"],
    "info": [],
}
# what must stand beside an option for its word to be looked at
BESIDE = {
    "weight": ["--model", "contractive"],
    "temperature": ["--posterior", "bits", "--estimator", "rebar"],
    "upper": ["--model", "belief"],
    "categories": ["--posterior", "categorical"],
    "target": ["--model", "sparse"],
    "sparsity": ["--model", "sparse"],
    "corruption": ["--model", "denoising"],
    "noise": ["--model", "denoising"],
    "decay": ["--milestones", "1"],
    "derivative": ["--cost", "cost.py:f"],
    "mu": ["--cost", "cost.py:f"],
    "sigma": ["--cost", "cost.py:f"],
    "trials": ["beta=1"],
}
FOREIGN = re.compile(
    r"Traceback|Errno|NoneType|has no attribute|broadcast|array element|not supported|operand|could not convert|ufunc|"
    r"iterable|subscriptable|out of bounds|Unable to allocate|encountered in|must be real number"
)

OURS = re.compile(r"\bgot\b.*[.;,)?] .*[.)?]$", re.DOTALL)


def options():
    """Yield each verb with each of its options."""
    parser = parser_of(VERBS)
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    for verb, sub in verbs.items():
        for action in sub._actions:
            if not isinstance(action, argparse._HelpAction):
                yield verb, action


CASES = {
    f"{verb} {action.option_strings[-1] if action.option_strings else action.dest}": (verb, action)
    for verb, action in options()
}


def lines(action):
    """Yield what is typed for an option: each word, no word, the option twice."""
    name = action.option_strings[-1:] if action.option_strings else []
    if action.nargs == 0:
        yield from ([*name], [*name, *name], [*name, "x"], [f"{name[0]}=x"])
        return
    yield from ([*name, word] for word in WORDS)
    yield from ([f"{name[0]}={word}"] for word in ("", "-1", "nan") if name)
    if name:
        yield [*name]
        yield [*name, "x", *name, "1"]
    if action.nargs in ("+", "*"):
        yield [*name, "1", "x"]
        yield [*name, "1", "-1", "0"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Make a folder with a file of data, a run, and files of one's own."""
    folder = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", (rng.random((20, 4)) < 0.5).astype(np.float32))
    (folder / "cost.py").write_text("import numpy as np\ndef f(z):\n    return np.sum(z**2, axis=1)\n")
    (folder / "answers.py").write_text("def sample_z(mu, log_var, eps):\n    return mu\n")
    (folder / "layer.py").write_text("from minivae.nn import Dense\nlayer = Dense(2, 2)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(plots, "save", lambda _, path: str(path))
        assert cli.main(["train", *BASE["train"], "--out", "run"]) == 0
        assert cli.main(["export", "run"]) == 0
    return folder


@pytest.fixture
def without_the_work(monkeypatch):
    """Leave out what takes seconds and comes after all words have been looked at."""
    row = {"quantity": "elbo", "value": 0.0, "standard_error": None, "unit": "nats"}
    summary = {"test": [row], "meaning": "a bound", "figures": []}
    report = SimpleNamespace(components=[row], checks=[row | {"ok": True}], figures=[], arbitrary=[])
    modules = {verb: importlib.import_module(f"minivae.cli.{verb}") for verb in ("train", "sweep", "pca", "infer")}
    monkeypatch.setattr(modules["train"], "write_results", lambda *_: summary)
    monkeypatch.setattr(modules["sweep"], "write_report", lambda *_: ([row], []))
    monkeypatch.setattr(modules["pca"], "report", lambda *_: report)
    monkeypatch.setattr(modules["infer"], "compare_inference", lambda _: [SimpleNamespace(row=lambda: row)])
    monkeypatch.setattr(modules["infer"], "inference_figure", lambda _: plots.figure_of(1, 1))
    monkeypatch.setattr(compare_figures, "write", lambda *_: [])
    for name in ("reconstruction_figure", "interpolation_figure", "sample_figure"):
        monkeypatch.setattr(run_figures, name, lambda *_: None)
    monkeypatch.setattr(run_figures, "latent_figures", lambda *_: [])


def tree(folder):
    return {str(path.relative_to(folder)): path.is_dir() or path.read_bytes() for path in sorted(folder.rglob("*"))}


def alarmed(work):
    """Return work(), or raise TimeoutError where it takes longer than any tiny run."""

    def ring(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(10)
    try:
        return work()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused(verb, code, said):
    """Return what is wrong with the answer to words that did not go through, or None."""
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if FOREIGN.search(said):
        return f"foreign words: {said[:200]}"
    errors = [line for line in said.splitlines() if line.startswith(f"minivae {verb}: error: ")]
    if code and len(errors) != 1:
        return f"{len(errors)} error lines: {said[:200]}"
    of_argparse = code == 2 and said.endswith(f"See 'minivae {verb} --help'.\n")
    if code and not of_argparse and not OURS.search(said) and "training stopped" not in said:
        return f"no value or no remedy: {said[:200]}"
    return None


@pytest.mark.usefixtures("without_the_work")
@pytest.mark.parametrize("case", CASES)
def test_works_or_is_refused_in_our_words_and_leaves_nothing(case, home, tmp_path, monkeypatch, capsys):
    verb, action = CASES[case]
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    before, failures = tree(tmp_path), []
    for typed in lines(action):
        base = BASE[verb]
        if not action.option_strings:  # the word stands in place of the base's
            base = [word for word in base if word not in ("run", "run/model.safetensors", "answers.py", "layer.py")]
        argv = [verb, *base, *BESIDE.get(action.dest, []), *typed]
        try:
            code = alarmed(lambda argv=argv: cli.main(argv))
        except BaseException as error:
            failures.append(f"{typed}: {type(error).__name__}: {error}")
            capsys.readouterr()
            continue
        finally:
            signal.signal(signal.SIGTERM, handler)
        printed = capsys.readouterr()
        verdict = code == 1 and verb in ("compare", "pca", "exercises", "gradcheck") and printed.out
        problem = None if verdict else refused(verb, code, printed.err)
        after = tree(tmp_path)
        stopped = "training stopped" in printed.err  # of a number that is one, and too large to learn with
        if problem is None and code and not verdict and not stopped and after != before:
            problem = f"left {', '.join(sorted(set(after) - set(before))[:3]) or 'changes'}: {printed.err[:100]}"
        if problem is not None:
            failures.append(f"{typed}: {problem}")
        if after != before:
            for path in tmp_path.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(home, tmp_path, dirs_exist_ok=True)
            for path in tmp_path.parent.glob("x"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not failures, "\n" + "\n".join(failures)
