"""The answer sheet for teachers: each exercise with its laws, its classic mistakes and, where at hand, its answer."""

import ast
from collections.abc import Iterable
from pathlib import Path

from minivae.core.errors import FileError
from minivae.core.reading import words
from minivae.exercises.framework import Exercise


def answer_sheet(exercises: Iterable[Exercise], solutions: str | Path | None = None) -> str:
    """Return the sheet as Markdown.

    Parameters
    ----------
    exercises : iterable of Exercise
    solutions : path, optional
        A folder of ``.py`` files with the answers, ``lectures/solutions`` of the source tree; without it the sheet has
        laws and mistakes only.

    Raises
    ------
    FileError
        If there is no such folder, or a file in it is no Python.

    Examples
    --------
    >>> from minivae.exercises import EXERCISES
    >>> print(answer_sheet([EXERCISES["vae.sample-z"]]).splitlines()[2])
    ## vae.sample-z
    """
    answers = {} if solutions is None else _sources(Path(solutions))
    lines = ["# Answer sheet", ""]
    for exercise in exercises:
        lines += [f"## {exercise.id}", "", f"`{exercise.signature}`: {exercise.task}.", ""]
        if exercise.answer_name in answers:
            lines += ["```python", answers[exercise.answer_name], "```", ""]
        lines += ["What a right answer obeys:", "", *(f"- {law.statement}" for law in exercise.laws), ""]
        if exercise.zoo:
            lines += ["Classic mistakes:", "", *(f"- **{m.name}**: {m.explanation}" for m in exercise.zoo), ""]
    return "\n".join(lines)


def _sources(folder: Path) -> dict[str, str]:
    """Return by name the source of what the files of a folder bind at their top level."""
    found: dict[str, str] = {}
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".py")
        for path in files:
            text = path.read_text(encoding="utf-8")
            for node in ast.parse(text, str(path)).body:
                names = [node.name] if isinstance(node, ast.FunctionDef) else []
                names += [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
                found |= dict.fromkeys(names, ast.get_source_segment(text, node) or "")
    except (OSError, SyntaxError, ValueError) as error:
        raise FileError(
            f"solutions must be a folder of Python files, got {folder} ({words(error)}). Give lectures/solutions."
        ) from error
    return found
