"""Check the answers in a student's file: a script or a notebook, without running the rest of it."""

import ast
import json
import linecache
import symtable
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from minivae.exercises.framework import SECONDS, Exercise, Outcome
from minivae.exercises.sandbox import own_words, run_with_limit, too_late
from minivae.storage import FileError


def check_file(path: str | Path, exercises: dict[str, Exercise], seconds: float = SECONDS) -> list[Outcome]:
    """Check every answer that a file holds; exercises without one in it are left out.

    An answer is the function or the value with the name of its exercise: ``sample_z`` is the answer to
    "vae.sample-z", and the last one of that name counts. Only the answer and what it needs are run: the top-level
    statements that bind its name and the names it uses, not the training in between. It is the student's code that is
    run; where you do not trust it, do so in a container.

    Parameters
    ----------
    path : path of a .py or .ipynb file
    exercises : dict of Exercise by id
    seconds : float
        Time limit for each answer.

    Raises
    ------
    FileError
        If the file cannot be read or holds no answer.
    """
    tree, source = _parse(Path(path))
    bound = _bindings(tree)
    found = [exercise for exercise in exercises.values() if exercise.answer_name in bound]
    if not found:
        raise FileError(
            f"file must hold the answer to an exercise, got {path}, which binds the name of none. An answer is a "
            f"function or a value with the name of its exercise: sample_z for vae.sample-z."
        )
    return [_check(exercise, _needed(tree, bound, exercise.answer_name), source, seconds) for exercise in found]


def _check(exercise: Exercise, statements: ast.Module, source: str, seconds: float) -> Outcome:
    code = compile(statements, source, "exec")
    try:
        answer = run_with_limit(lambda: _value(code, exercise.answer_name), seconds)
    except TimeoutError:
        return Outcome(exercise.id, "wrong", too_late(seconds))
    except BaseException as error:
        return Outcome(exercise.id, "wrong", own_words(error, source))
    return exercise.check(answer, seconds=seconds)


def _value(code: CodeType, name: str) -> Any:
    names: dict[str, Any] = {"__name__": "answers"}
    exec(code, names)
    return names.get(name)


def _parse(path: Path) -> tuple[ast.Module, str]:
    """Return the syntax tree of a file, and the name under which Python finds its lines."""
    if path.suffix not in (".py", ".ipynb"):
        raise FileError(f"file must be a .py or .ipynb file, got {path}. Export the answers as one of them.")
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            text = "\n".join(_python("".join(cell["source"])) for cell in cells)
            name = f"the code of {path}"
            linecache.cache[name] = (len(text), None, [line + "\n" for line in text.splitlines()], name)
        return ast.parse(text, name), name
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise FileError(
            f"file must be Python, got {name}, with a syntax error in line {error.lineno}: {line}"
        ) from error
    except (OSError, UnicodeError, KeyError, TypeError, ValueError) as error:
        raise FileError(f"file must be a readable script or notebook, got {path} ({error}). Save it again.") from error


def _python(cell: str) -> str:
    """Blank what is a command to Jupyter."""
    if cell.lstrip().startswith("%%"):
        return ""
    return "\n".join("" if line.lstrip().startswith(("%", "!", "?")) else line for line in cell.splitlines())


def _bindings(tree: ast.Module) -> dict[str, list[int]]:
    """Return by name the top-level statements that bind it."""
    bound: dict[str, list[int]] = {}
    for i, statement in enumerate(tree.body):
        table = symtable.symtable(ast.unparse(statement), "statement", "exec")
        for symbol in table.get_symbols():
            if symbol.is_assigned() or symbol.is_imported():
                bound.setdefault(symbol.get_name(), []).append(i)
    return bound


def _needed(tree: ast.Module, bound: dict[str, list[int]], name: str) -> ast.Module:
    """Return the statements that an answer needs: those that bind its name and, again and again, the names they use."""
    wanted, names = set(), [name]
    while names:
        for i in bound.get(names.pop(), []):
            if i not in wanted:
                wanted.add(i)
                names += _uses(symtable.symtable(ast.unparse(tree.body[i]), "statement", "exec"))
    return ast.Module([tree.body[i] for i in sorted(wanted)], type_ignores=[])


def _uses(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the global names that a statement uses, also within its functions."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (table.get_type() == "module" or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _uses(child)
