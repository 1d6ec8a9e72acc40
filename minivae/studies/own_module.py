"""Run a person's file as a module of its own, and undo afterwards what it registered."""

import ast
import hashlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, ModuleType

from minivae.core.errors import FileError
from minivae.core.registry import restored


@contextmanager
def running(path: Path) -> Iterator[tuple[ModuleType, ast.Module]]:
    """Run a file, and give its module and its syntax tree; what it entered into tables is taken out at the end.

    As with ``python FILE`` the modules beside the file can be imported.

    Raises
    ------
    FileError
        If it cannot be read, is no Python, or stops with an exception; the message names the line.
    """
    path = path.resolve()
    tree, code = _parsed(path)
    without_bytecode = sys.dont_write_bytecode
    sys.path.insert(0, str(path.parent))
    module = _module(path)
    sys.modules[module.__name__] = module
    sys.dont_write_bytecode = True  # no caches beside a person's files
    try:
        with restored():
            _execute(module, code, path)
            yield module, tree
    finally:
        sys.modules.pop(module.__name__, None)
        sys.path.remove(str(path.parent))
        sys.dont_write_bytecode = without_bytecode


def _parsed(path: Path) -> tuple[ast.Module, CodeType]:
    if path.suffix != ".py":
        raise FileError(f"file must be a .py file, got {path}. Save a notebook as a script first.")
    if path.is_relative_to(Path(__file__).resolve().parents[1]):
        raise FileError(
            f"file must be your own, got {path}, a part of minivae, whose gradients `minivae gradcheck` checks without "
            f"a file. Leave it away."
        )
    try:
        source = path.read_bytes()
        return ast.parse(source, str(path)), compile(source, str(path), "exec")
    except SyntaxError as error:
        raise FileError(
            f"file must be Python, got {path}, with a syntax error in line {error.lineno}, "
            f"`{(error.text or '').strip()}`: {error.msg}. Correct it."
        ) from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise FileError(f"file must be a readable .py file, got {path} ({error}). Check its name.") from error


def _module(path: Path) -> ModuleType:
    """Return an empty module, named after the path: the same file again is the same module, another file is not."""
    name = f"own_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise FileError(f"file must be one that Python can import, got {path}. Rename it.")
    return importlib.util.module_from_spec(spec)


def _execute(module: ModuleType, code: CodeType, path: Path) -> None:
    # not by the module's loader, which may find old bytecode of a file that was changed within a second
    try:
        exec(code, module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script may also end itself by SystemExit
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        number = lines[-1] if lines and lines[-1] else 0
        linecache.checkcache(str(path))
        place = f" in line {number}, `{linecache.getline(str(path), number).strip()}`," if number else ""
        said = f": {error}" if str(error) else ""
        raise FileError(
            f"file must run, got {path}, which stops{place} with {type(error).__name__}{said}. Correct it; what is not "
            f'to be run here belongs under if __name__ == "__main__".'
        ) from error


def imported_names(tree: ast.Module) -> set[str]:
    """Return the names that a file imports.

    >>> sorted(imported_names(ast.parse("import numpy as np; from minivae.nn import Dense")))
    ['Dense', 'np']
    """
    aliases = [a for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for a in node.names]
    return {alias.asname or alias.name.split(".")[0] for alias in aliases}
