"""The package as a whole: what it imports, the way imports point, what the README and CI promise."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import minivae

ROOT = Path(__file__).parent.parent
ROOMS = [  # imports run down this order; rooms of one line never import each other
    {"core"},
    {"nn", "datasets"},
    {"distributions"},
    {"estimators"},
    {"models", "classical"},
    {"training", "exercises"},
    {"studies", "sklearn"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {room: i for i, rooms in enumerate(ROOMS) for room in rooms}
MODULES = {
    ".".join(path.relative_to(ROOT / "minivae").with_suffix("").parts): ast.parse(path.read_text())
    for path in (ROOT / "minivae").rglob("*.py")
}


def imports_of(tree):
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "minivae":
                names |= {f"minivae.{alias.name}" for alias in node.names}
    return names


def test_no_autodiff_is_imported_anywhere():
    for name, tree in MODULES.items():
        tops = {module.split(".")[0] for module in imports_of(tree)}
        assert not tops & {"torch", "jax", "autograd", "tensorflow"}, name
        assert "sklearn" not in tops or room(name) == "sklearn", name


def room(module):
    return module.split(".")[0]


def test_every_room_has_its_floor():
    assert {room(module) for module in MODULES} == set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down(module):
    used = {room(m.removeprefix("minivae.")) for m in imports_of(MODULES[module]) if m.startswith("minivae.")}
    own = room(module)
    upward = {other for other in used & set(FLOOR) - {own} if FLOOR[other] >= FLOOR[own]}
    assert not upward, f"{module} imports {upward}"


def test_no_two_modules_import_each_other_however_long_the_way():
    graph = {
        module: {m.removeprefix("minivae.") for m in imports_of(tree) if m.startswith("minivae.")} & set(MODULES)
        for module, tree in MODULES.items()
        if "__init__" not in module
    }
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_public_names_are_documented_and_sorted_out():
    for name in minivae.__all__:
        assert getattr(minivae, name).__doc__, name
    assert len([name for name in minivae.__all__ if not isinstance(getattr(minivae, name), ModuleType)]) <= 28


@pytest.mark.parametrize("module", MODULES)
def test_no_name_of_the_package_looks_like_a_test(module):
    # pytest would run it wherever it is imported; by the same rule, test* and Test* at the top of a module
    names = set()
    for node in MODULES[module].body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {
                part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            }
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    assert not {name for name in names if name.lower().startswith("test")}, module
    assert not module.split(".")[-1].startswith("test_")


def test_importing_is_silent_and_leaves_out_what_only_some_need():
    later = ["matplotlib", "pooch", "minivae.exercises", "minivae.studies", "minivae.cli", "sklearn"]
    later += [f"scipy.{part}" for part in ("linalg", "special", "stats", "optimize", "integrate", "io", "sparse")]
    # Numba itself looks at the version of the bare package scipy, which loads none of these
    only_some = {"exercises", "check", "plots", "studies", "sklearn"}
    names = sorted(set(minivae.__all__) - only_some)
    code = (
        f"import sys, minivae\nfor n in {names}: getattr(minivae, n)\nprint([m for m in {later} if m in sys.modules])"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = blocks("python")
    assert code
    assert len([line for line in code[0].splitlines() if line]) <= 14
    for block in code:
        exec(compile(block, "README.md", "exec"), {})


def test_ci_runs_the_test_command_of_the_readme():
    command = next(block.strip() for block in blocks("sh") if "pytest" in block)
    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_readme_has_no_gaps():
    assert not re.search(r"@[A-Z]+|TODO|XXX", (ROOT / "README.md").read_text())


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
        assert target.startswith("http") or (ROOT / target).exists(), target
