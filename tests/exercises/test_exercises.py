"""The exercises: right answers pass on many seeds, each classic mistake is named, and nothing ends in a traceback."""

import itertools
import json
import math
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import minivae as mv
from minivae import cli
from minivae.core.errors import FileError
from minivae.exercises import EXERCISES, LECTURES
from minivae.exercises.bugs import listing
from minivae.exercises.sandbox import run_with_limit
from minivae.exercises.student_file import check_file


def load_solutions():
    """Return the reference answers to all exercises by name, from lectures/solutions/."""
    answers = {}
    for path in sorted((Path(__file__).parents[2] / "lectures" / "solutions").glob("*.py")):
        names = {}
        exec(compile(path.read_text(), str(path), "exec"), names)
        answers |= {name: names[name] for name in names["__all__"]}
    return answers


SOLUTIONS = load_solutions()
ZOO = {f"{e.id}: {m.name}": (e, m) for e in EXERCISES.values() for m in e.zoo}


def test_every_exercise_has_a_solution_and_a_lecture():
    assert {exercise.answer_name for exercise in EXERCISES.values()} == set(SOLUTIONS)
    assert {exercise.topic for exercise in EXERCISES.values()} == set(LECTURES)
    for topic in LECTURES:
        assert 3 <= sum(exercise.topic == topic for exercise in EXERCISES.values()) <= 5


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes_on_many_seeds(name):
    exercise = EXERCISES[name]
    for seed in range(4):
        outcome = exercise.check(SOLUTIONS[exercise.answer_name], seed)
        assert outcome.ok, f"seed {seed}: {outcome}"


@pytest.mark.parametrize("name", ZOO)
def test_each_classic_mistake_fails_with_its_own_diagnosis(name):
    exercise, mistake = ZOO[name]
    for seed in range(3):
        outcome = exercise.check(mistake.answer, seed)
        assert (outcome.state, outcome.mistake) == ("wrong", mistake.explanation), f"seed {seed}: {outcome}"


# The same mistakes as students write them, with loops and other formulas than the zoo's.


def sigma_as_variance(mu, log_var, eps):
    z = np.empty_like(mu)
    for b, j in np.ndindex(mu.shape):
        variance = math.exp(log_var[b, j])
        z[b, j] = mu[b, j] + variance * eps[b, j]
    return z.tolist()


def kl_without_half(mu, log_var):
    return [sum(m**2 + math.exp(v) - 1 - v for m, v in zip(*row, strict=True)) for row in zip(mu, log_var, strict=True)]


def averaged_pixels(logits, x):
    return -np.logaddexp(0, np.where(x == 1, -logits, logits)).mean(axis=1)


def iwae(log_lik, kl):
    return np.log(np.exp(log_lik).mean(axis=0)) - kl


def own_included(f, s):
    baseline = sum(f) / len(f)
    return sum((a - baseline) * b for a, b in zip(f, s, strict=True)) / len(f)


def rho_per_element(h, rho):
    each = -(rho * np.log(h) + (1 - rho) * np.log(1 - h)) + rho * math.log(rho) + (1 - rho) * math.log(1 - rho)
    return each.sum(axis=1).mean()


def uncentred(x, q):
    return np.linalg.svd(x, full_matrices=False)[2][:q]


def forward(f, theta, v, h):
    values = [f(theta + shift * v) for shift in (0.0, h)]
    return np.diff(values)[0] / h


STUDENTS = {
    "vae.sample-z": (sigma_as_variance, "exp(log_var) is the variance"),
    "vae.kl": (kl_without_half, "1/2 is missing"),
    "vae.log-bernoulli": (averaged_pixels, "mean over the pixels"),
    "vae.elbo": (iwae, "log of the mean probability"),
    "estimators.leave-one-out-gradient": (own_included, "includes the draw's own f"),
    "autoencoders.sparsity": (rho_per_element, "every single activation"),
    "pca.components": (uncentred, "not centred"),
    "backprop.central-slope": (forward, "forward difference"),
}


@pytest.mark.parametrize("name", STUDENTS)
def test_mistakes_are_known_in_other_words(name):
    answer, words = STUDENTS[name]
    assert words in mv.check(name, answer).mistake


# ---------------------------------------------------------------------------------------- kind words


def test_a_right_answer_says_which_laws_hold():
    outcome = mv.check("vae.sample-z", SOLUTIONS["sample_z"])
    assert (outcome.ok, outcome.state, outcome.mistake) == (True, "right", None)
    assert outcome.message.startswith("z has mean mu and variance exp(log_var), exactly; ")
    assert repr(outcome).startswith("✓ vae.sample-z: right\n  z has mean mu")
    assert "<b" in outcome._repr_html_()


def raises(*_):
    return 1 / 0


def unsolved(*_):
    raise NotImplementedError


def leaves(*_):
    raise SystemExit("bye")


def recursive(*arguments):
    return recursive(*arguments)


FUNCTIONS = [name for name, exercise in EXERCISES.items() if exercise.arguments]
GARBAGE = {
    "a string": lambda *_: "z",
    "a matrix of no sense": lambda *_: np.zeros((7, 7)),
    "an empty array": lambda *_: np.array([]),
    "ragged": lambda *_: [[1.0, 2.0], [3.0]],
    "too many": lambda *_: (1.0,) * 9,
    "NaN": lambda *_: np.nan,
    "complex": lambda *_: 1j,
    "objects": lambda *_: [object()],
    "a dictionary": lambda *_: {},
    "itself": lambda *a: a,
    "an error": raises,
    "an exit": leaves,
    "a recursion": recursive,
    "a number, not a function": 3.0,
    "no arguments": lambda: 0.0,
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_gets_a_sentence(garbage):
    for name in FUNCTIONS:
        outcome = mv.check(name, GARBAGE[garbage])
        assert outcome.state == "wrong", name
        assert outcome.message.endswith((".", "?")), outcome.message
        assert "Traceback" not in repr(outcome)


EMPTY = {
    "None": None,
    "Ellipsis": ...,
    "NotImplementedError": unsolved,
    "returns None": lambda *_: None,
    "returns Ellipsis": lambda *_: ...,
}


@pytest.mark.parametrize("empty", EMPTY)
def test_an_unsolved_exercise_is_not_yet(empty):
    for name, exercise in EXERCISES.items():
        if exercise.arguments or not callable(EMPTY[empty]):
            outcome = mv.check(name, EMPTY[empty])
            assert (outcome.ok, outcome.state) == (False, "not yet"), name
            assert exercise.task in outcome.message


@pytest.mark.parametrize(
    "answer", [3, "x", [], {}, {1.5}, {"reconstruction": 3}, np.ones(3), {"n_draws": "two"}], ids=str
)
def test_values_of_no_sense_get_a_sentence(answer):
    for name in set(EXERCISES) - set(FUNCTIONS):
        outcome = mv.check(name, answer)
        assert outcome.state == "wrong"
        assert outcome.message.endswith((".", "?")), outcome.message


class Hostile:
    """Fails wherever it is looked at."""

    def __array__(self, *_, **__):
        raise RuntimeError("no array")

    def __repr__(self):
        raise RuntimeError("no words")

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


@pytest.mark.parametrize("value", [10**400, 10**5000, Hostile(), [Hostile()], {"n_draws": Hostile()}], ids=range(5))
def test_values_that_cannot_be_shown_or_compared_get_a_sentence(value):
    for name in EXERCISES:
        outcome = mv.check(name, (lambda *_: value) if name in FUNCTIONS else value)
        assert outcome.state == "wrong", name
        assert outcome.message.endswith("."), outcome.message


def test_an_error_is_shown_with_its_own_line_and_words():
    message = mv.check("vae.kl", raises).message
    line = Path(__file__).read_text().splitlines().index("    return 1 / 0") + 1
    where = f"Your answer stopped in line {line}, `return 1 / 0`, with ZeroDivisionError: division by zero. "
    shapes = r"It was called with arrays of these shapes: mu \((\d+, \d+)\), log_var \(\1\)."
    assert re.fullmatch(re.escape(where) + shapes, message)


def test_an_error_deep_in_numpy_is_shown_where_the_student_called_it():
    message = mv.check("backprop.dense-backward", lambda x, W, dy: x @ dy @ W).message
    assert "`message = mv.check(" in message
    assert "ValueError: matmul" in message


def test_other_arguments_are_named():
    message = mv.check("vae.sample-z", lambda mu, eps: mu + eps).message
    assert message == "sample_z must take (mu, log_var, eps), yours takes (mu, eps)."


def test_a_called_function_is_recognised():
    message = mv.check("vae.kl", np.ones(3)).message
    assert message == (
        "kl must be a function, got an array of shape (3,). Pass the function itself, without calling it."
    )


def test_changing_an_argument_in_place_is_named():
    def moves(f, theta, v, h):
        theta += h * v
        up = f(theta)
        theta -= 2 * h * v
        return (up - f(theta)) / (2 * h)

    outcome = mv.check("backprop.central-slope", moves)
    assert outcome.message == "theta must be left as it was, but it was changed in place."
    assert "belongs to the caller" in outcome.mistake


def forever(mu, log_var, eps):  # noqa: ARG001
    while True:
        pass


def stubborn(mu, log_var, eps):  # noqa: ARG001
    for _ in range(3):  # the time limit's own exception is caught, and caught again
        try:
            while True:
                pass
        except BaseException:
            continue


@pytest.mark.parametrize("answer", [forever, stubborn])
def test_an_endless_loop_is_stopped(answer):
    before = threading.active_count()
    start = time.monotonic()
    outcome = mv.check("vae.sample-z", answer, seconds=0.2)
    assert time.monotonic() - start < 2
    assert outcome.message.startswith("Your answer was still running after 0.2 seconds and was stopped.")
    assert threading.active_count() == before  # and does not go on in the background


def test_the_time_limit_holds_in_other_threads_too():
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(mv.check("vae.sample-z", forever, seconds=0.2)))
    thread.start()
    thread.join(5)
    assert "0.2 seconds" in outcomes[0].message


def test_an_exception_of_ours_is_not_hidden():
    with pytest.raises(KeyError):
        run_with_limit(lambda: {}["a mistake in a law"], 1)


def test_a_misspelt_id_gets_the_nearest_one():
    assert mv.check("vae.kll", None).message == "There is no exercise 'vae.kll'. Did you mean 'vae.kl'?"
    assert "lists them all" in mv.check("quantum", None).message


def test_the_answer_is_the_same_every_time():
    assert mv.check("vae.kl", kl_without_half) == mv.check("vae.kl", kl_without_half)


# ------------------------------------------------------------------------------------- find the bugs


def test_the_listing_is_numbered_as_the_answers_are():
    numbered = dict(enumerate(listing().splitlines(), start=1))
    for line in SOLUTIONS["buggy_lines"]:
        assert numbered[line].split()[0] == str(line)
    assert any("np.exp(log_var) * eps" in numbered[line] for line in SOLUTIONS["buggy_lines"])


def test_some_of_the_bugs_are_counted_and_a_tool_for_the_next_is_named():
    lines = sorted(SOLUTIONS["buggy_lines"])
    for n in range(1, 5):
        for some in itertools.combinations(lines, n):
            message = mv.check("bugs.buggy-lines", set(some)).message
            assert message.startswith(f"{n} of the 5 bugs are found. A hint")
    assert "without a bug: 1." in mv.check("bugs.buggy-lines", {1, *lines}).message


def test_a_line_that_follows_a_bug_is_neither_asked_for_nor_accused():
    follower = next(i for i, line in enumerate(listing().splitlines(), 1) if "dz * np.exp(log_var) * eps" in line)
    assert mv.check("bugs.buggy-lines", SOLUTIONS["buggy_lines"] | {follower}).ok
    assert "Look for the cause" in mv.check("bugs.buggy-lines", {follower}).mistake


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_draws": 1}, "first axis of eps"),
        ({"n_latent": 16}, "width of the hidden layer"),
        ({"n_layers": 3}, "side by side"),
    ],
)
def test_wrong_counts_get_a_hint(change, words):
    assert words in mv.check("bugs.counts", SOLUTIONS["counts"] | change).mistake


def test_wrong_terms_get_a_hint():
    lines = SOLUTIONS["elbo_lines"]
    swapped = lines | {"kl_inputs": lines["kl"]}
    assert "where they are computed" in mv.check("bugs.elbo-lines", swapped).mistake
    assert "the other term" in mv.check("bugs.elbo-lines", lines | {"reconstruction": lines["kl"]}).mistake


# --------------------------------------------------------------------------------- a student's file

SCRIPT = """
import numpy as np
import minivae as mv

HALF = 0.5
noise = mv.train("this would take an hour and fail")


def scale(a):
    return np.exp(HALF * a)


def sample_z(mu, log_var, eps):
    noise = scale(log_var) * eps
    return mu + noise


def kl(mu, log_var):
    return np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=1)


def elbo(log_lik, kl):
    ...


counts = {"n_draws": 1, "n_latent": 3, "n_layers": 2}
broken_constant = 1 / 0


def kl_backward(mu, log_var, dkl):
    return broken_constant


mv.check("vae.kl", kl)
"""
STATES = {"vae.sample-z": "right", "vae.kl": "wrong", "vae.kl-backward": "wrong", "vae.elbo": "not yet"}
STATES |= {"bugs.counts": "wrong"}


def as_notebook(script):
    cells = ["%matplotlib inline\n!ls\n" + script, "%%time\nthis is no Python", "?mv.train"]
    return json.dumps(
        {"cells": [{"cell_type": "code", "source": c.splitlines(keepends=True)} for c in cells]}
        | {"metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    )


@pytest.mark.parametrize(("name", "write"), [("a.py", str), ("a.ipynb", as_notebook)])
def test_a_file_is_checked_without_running_the_rest_of_it(name, write, tmp_path):
    path = tmp_path / name
    path.write_text(write(SCRIPT))
    outcomes = check_file(path, EXERCISES)
    assert {outcome.id: outcome.state for outcome in outcomes} == STATES
    said = {outcome.id: outcome.message for outcome in outcomes}
    assert "`broken_constant = 1 / 0`, with ZeroDivisionError" in said["vae.kl-backward"]


@pytest.mark.parametrize(
    ("answer", "line", "words"),
    [
        ("def sample_z(mu, mu, eps):\n    return mu", 2, "`def sample_z(mu, mu, eps):`: duplicate argument 'mu'"),
        ("def sample_z(mu, log_var, eps):\n    nonlocal q\n    return mu", 3, "`nonlocal q`: no binding"),
        ("def sample_z(mu, log_var, eps):\n    global mu\n    return mu", 3, "`global mu`: name 'mu' is parameter"),
        (
            "sample_z = 1\nif sample_z:\n    sample_z = 2\n    continue",
            5,
            "`continue`: 'continue' not properly in loop",
        ),
        ("a = [0\n  for a, a in []]\nsample_z, = a, = 1,\nreturn", None, "must be a function"),
    ],
)
def test_what_parses_but_is_no_python_gets_a_sentence(answer, line, words, tmp_path):
    path = tmp_path / "a.py"
    path.write_text(f"\n{answer}\n\ndef kl(mu, log_var):\n    ...\n")
    states = {outcome.id: outcome for outcome in check_file(path, EXERCISES)}
    assert (states["vae.sample-z"].state, states["vae.kl"].state) == ("wrong", "not yet")
    assert words in states["vae.sample-z"].message
    assert line is None or f"line {line} " in states["vae.sample-z"].message


CHANGED_IN_PLACE = """
import math
import minivae as mv
counts = {}
counts["n_draws"] = COUNTS["n_draws"]
for name in ["n_latent"]:
    counts.setdefault("extra", None)
    counts[name] = COUNTS[name]
counts.update(n_layers=COUNTS["n_layers"])
del counts["extra"]
buggy_lines = set()
class Book: pages = 0
Book.lines = []
Book.lines.append(LINES[0])
Book.lines += LINES[1:]
for line in Book.lines:
    buggy_lines.add(line)
others = []
others.append(1 / 0)
mv.train("this would take an hour and fail")
def sampled_by():
    counts["n_draws"] = mv
    return mv
sampled = str(mv and SAMPLED)
"""


def test_an_answer_that_is_filled_step_by_step_is_whole(tmp_path):
    path = tmp_path / "a.py"
    given = f"COUNTS, LINES = {SOLUTIONS['counts']!r}, {sorted(SOLUTIONS['buggy_lines'])!r}\n"
    path.write_text(given + f"SAMPLED = {SOLUTIONS['sampled']!r}\n" + CHANGED_IN_PLACE)
    outcomes = check_file(path, EXERCISES)
    assert {outcome.id: outcome.state for outcome in outcomes} == dict.fromkeys(
        ["bugs.buggy-lines", "bugs.counts", "bugs.sampled"], "right"
    ), outcomes


def test_names_may_come_from_a_module_of_which_all_is_imported(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        "from numpy import *\ndef sample_z(mu, log_var, eps):\n    return mu + exp(log_var / 2) * eps\n"
        "def kl(mu, log_var):\n    return sum(mu**2 + exp(log_var) - 1 - log_var, 1) / 2  # not Python's own sum\n"
    )
    assert [outcome.state for outcome in check_file(path, EXERCISES)] == ["right", "right"]


@pytest.mark.parametrize(
    "cell",
    [
        "%%time\n{}",
        "\n%%timeit -n 1\n{}",
        "np.exp?\n{}",
        "{}\nmv.VAE??",
        "files = !ls\n{}",
        "%matplotlib inline\n!pip install \\\n  numpy\n{}",
        "if False:\n    %timeit f()\n    !echo it's\n{}",
        "remainder = (7\n    % 3)\n{}",
        "%matplotlib inline\nremainder = (7\n    % 3)\n{}",
    ],
)
def test_commands_to_jupyter_hide_nothing(cell, tmp_path):
    path = tmp_path / "a.ipynb"
    half = "(remainder / 2)" if "remainder" in cell else "0.5"
    answer = f"def sample_z(mu, log_var, eps):\n    return mu + np.exp({half} * log_var) * eps"
    sources = ["import numpy as np", cell.format(answer), "%%bash\nfor f in *; do echo $f; done"]
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": source} for source in sources]}))
    (outcome,) = check_file(path, EXERCISES)
    assert outcome.ok, outcome


def test_a_syntax_error_in_a_notebook_is_shown_in_its_own_line(tmp_path):
    path = tmp_path / "a.ipynb"
    sources = ["%matplotlib inline\nx = (7\n  % 3)", "def kl(:\n    ..."]
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": source} for source in sources]}))
    with pytest.raises(FileError, match=r"with a syntax error in line 4: def kl\(:"):
        check_file(path, EXERCISES)


def test_the_command_checks_a_file(tmp_path, capsys):
    path = tmp_path / "a.py"
    path.write_text(SCRIPT)
    assert cli.main(["exercises", str(path), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert {row["exercise"]: row["state"] for row in result["rows"]} == STATES
    assert cli.main(["exercises", str(path)]) == 1
    assert "1 of 5 answers" in capsys.readouterr().out
    path.write_text(
        "from minivae.core.checks import np\ndef sample_z(mu, log_var, eps):\n    return mu + np.exp(log_var / 2) * eps"
    )
    assert cli.main(["exercises", str(path)]) == 0


def test_the_command_lists_the_exercises(capsys):
    assert cli.main(["exercises", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["exercise"] for row in rows] == list(EXERCISES)
    assert cli.main(["exercises"]) == 0
    assert "vae.sample-z" in capsys.readouterr().out


def test_an_endless_file_is_stopped(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("counts = {}\nwhile True:\n    counts = {}\n")
    (outcome,) = check_file(path, EXERCISES, seconds=0.2)
    assert "0.2 seconds" in outcome.message


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "x = 1", "binds the name of none"),
        ("a.py", "def kl(:", r"with a syntax error in line 1: def kl\(:"),
        ("a.ipynb", "{", "must be a readable script or notebook"),
        ("a.ipynb", "{}", "must be a readable script or notebook"),
        ("a.txt", "x", "must be a .py or .ipynb file"),
    ],
)
def test_files_of_no_use_are_refused(name, text, words, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FileError, match=words):
        check_file(path, EXERCISES)
    with pytest.raises(FileError, match="readable"):
        check_file(tmp_path / "none.py", EXERCISES)
