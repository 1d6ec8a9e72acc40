"""The package as a whole: what it imports, the way imports point, what the README and CI promise."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minivae

ROOT = Path(__file__).parent.parent
MODULES = {p.stem: ast.parse(p.read_text()) for p in (ROOT / "minivae").glob("*.py")}


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
        assert not tops & {"torch", "jax", "autograd", "tensorflow", "sklearn"}, name


def test_imports_point_one_way():
    order = [
        *[
            "tuning",
            "kernels",
            "checks",
            "layers",
            "likelihoods",
            "posteriors",
            "models",
            "corruptions",
            "penalties",
            "contraction",
            "vae",
            "autoencoder",
            "bounds",
        ],
        *[
            "optim",
            "exact",
            "subspaces",
            "power",
            "pca",
            "linear",
            "gradcheck",
            "gradient_suite",
            "storage",
            "training",
            "data",
            "plots",
            "runs",
            "pca_report",
            "cli",
        ],
        *["__main__", "__init__"],
    ]
    assert set(order) == set(MODULES)
    for name, tree in MODULES.items():
        used = {m.split(".")[1] for m in imports_of(tree) if m.startswith("minivae.")} - {"datasets"}
        late = [m for m in used if m in order and order.index(m) >= order.index(name)]
        assert not late, f"{name} imports {late}"


def test_public_names_are_documented_and_sorted_out():
    for name in minivae.__all__:
        assert getattr(minivae, name).__doc__, name


def test_importing_is_lazy_about_what_only_figures_and_some_sets_need():
    lazy = ("matplotlib", "pooch", "scipy.io", "scipy.linalg", "scipy.special", "scipy.stats")
    code = f"import sys, minivae; print([m for m in {lazy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


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
