"""Check the answers in a student's file: a script or a notebook, without running the rest of it."""

import ast
import json
import linecache
import re
import symtable
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from minivae.core.errors import FileError
from minivae.exercises.framework import SECONDS, Exercise, Outcome
from minivae.exercises.sandbox import own_words, run_with_limit, too_late

_COMMAND = re.compile(r"\s*([%!?]|[\w.]+\?{1,2}\s*$|[\w., ]+=\s*[%!])")  # %time, !ls, ?f, f?, files = !ls


def check_file(path: str | Path, exercises: dict[str, Exercise], seconds: float = SECONDS) -> list[Outcome]:
    """Check every answer that a file holds; exercises without one in it are left out.

    An answer is the function or the value with the name of its exercise: ``sample_z`` is the answer to
    "vae.sample-z", and the last one of that name counts. Only the answer and what it needs are run: the top-level
    statements that bind or change its name and the names it uses, not the training in between. It is the student's code
    that is run; where you do not trust it, do so in a container.

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
    return list(outcomes_of(path, exercises, seconds))


def outcomes_of(path: str | Path, exercises: dict[str, Exercise], seconds: float = SECONDS) -> Iterator[Outcome]:
    """Yield what ``check_file`` returns, each outcome as soon as it is known."""
    tree, source = _parse(Path(path))
    bound, stars = _bindings(tree)
    found = [exercise for exercise in exercises.values() if exercise.answer_name in bound]
    if not found:
        raise FileError(
            f"file must hold the answer to an exercise, got {path}, which binds the name of none. An answer is a "
            f"function or a value with the name of its exercise: sample_z for vae.sample-z."
        )
    for exercise in found:
        yield _check(exercise, _needed(tree, bound, stars, exercise.answer_name), source, seconds)


def _check(exercise: Exercise, statements: ast.Module, source: str, seconds: float) -> Outcome:
    try:
        code = compile(statements, source, "exec")
    except (
        SyntaxError,
        ValueError,
        RecursionError,
    ) as error:  # what parses need not compile: f(a, a), a stray continue
        return Outcome(exercise.id, "wrong", own_words(error, source))
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
    except (OSError, UnicodeError, KeyError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise FileError(f"file must be a readable script or notebook, got {path} ({error}). Save it again.") from error


def _python(cell: str) -> str:
    """Take out what is a command to Jupyter; a cell in another language is left empty."""
    lines = cell.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    magic = bool(lines) and lines[first].startswith("%%")
    if magic:
        lines[first] = ""
    while (error := _syntax_error(lines)) is not None:
        i = (error.lineno or 1) - 1
        if i >= len(lines) or not _COMMAND.match(lines[i]):
            return "" if magic else "\n".join(lines)
        goes_on = lines[i].endswith("\\")
        lines[i] = lines[i][: -len(lines[i].lstrip())] + "pass"  # a block needs a statement
        while goes_on and (i := i + 1) < len(lines):
            goes_on, lines[i] = lines[i].endswith("\\"), ""
    return "\n".join(lines)


def _syntax_error(lines: list[str]) -> SyntaxError | None:
    try:
        ast.parse("\n".join(lines))
    except SyntaxError as error:
        return error
    return None


def _bindings(tree: ast.Module) -> tuple[dict[str, list[int]], list[int]]:
    """Return by name the top-level statements that bind it or then change it, and those that import a module's all."""
    bound: dict[str, list[int]] = {}
    modules: set[str] = set()
    stars = []
    for i, statement in enumerate(tree.body):
        table = _table(statement)
        if table is None:
            names = _stored(statement)
        else:
            names = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
            modules |= {s.get_name() for s in table.get_symbols() if s.is_imported()}
        names |= {name for name in _changed(statement) if name in bound and name not in modules}
        for name in names:
            bound.setdefault(name, []).append(i)
        if any(isinstance(node, ast.alias) and node.name == "*" for node in ast.walk(statement)):
            stars.append(i)
    return bound, stars


def _table(statement: ast.stmt) -> symtable.SymbolTable | None:
    """Return the table of the names of a statement, or nothing where Python would refuse it: def f(a, a)."""
    try:
        return symtable.symtable(ast.unparse(statement), "statement", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return None


def _stored(statement: ast.stmt) -> set[str]:
    """Return the names that a statement without a table would bind."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _changed(node: ast.AST) -> Iterator[str]:
    """Yield the names whose values are changed in place, outside functions: counts["n"] = 2, lines.append(3)."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
            return
        case ast.Expr(ast.Call(ast.Attribute() as place)):
            yield from _owner(place)
        case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
            yield from _owner(node)
    for child in ast.iter_child_nodes(node):
        yield from _changed(child)


def _owner(place: ast.AST) -> Iterator[str]:
    """Yield the name that a place is a part of: counts for counts["n"]."""
    while isinstance(place, (ast.Subscript, ast.Attribute)):
        place = place.value
    if isinstance(place, ast.Name):
        yield place.id


def _needed(tree: ast.Module, bound: dict[str, list[int]], stars: list[int], name: str) -> ast.Module:
    """Return the statements that an answer needs: those that bind its name and, again and again, the names they use.

    A name that none binds may come from a module of which all is imported.
    """
    wanted, names = set(), [name]
    while names:
        for i in bound.get(names.pop(), stars):
            if i not in wanted:
                wanted.add(i)
                if (table := _table(tree.body[i])) is not None:
                    names += _uses(table)
    return ast.Module([tree.body[i] for i in sorted(wanted)], type_ignores=[])


def _uses(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the global names that a statement uses, also within its functions."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (table.get_type() == "module" or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _uses(child)
