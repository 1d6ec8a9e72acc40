"""The distribution: one version, a source archive with all that its tests need, no warning in any import."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import minivae

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_stands_in_one_place():
    assert minivae.__version__ == version("minivae")
    number = re.compile(rf"(?<![\d.]){re.escape(PROJECT['version'])}(?![\d.])")
    places = ["setup.cfg", "CITATION.cff", "README.md", ".ci/run", "lectures/conf.py"]
    paths = [ROOT / place for place in places] + list((ROOT / "minivae").rglob("*.py*"))
    assert not [str(path) for path in paths if path.suffix != ".pyc" and number.search(path.read_text())]


def test_the_citation_says_what_the_project_says():
    text = (ROOT / "CITATION.cff").read_text()
    assert text.startswith("cff-version: 1.2.0\nmessage: ")
    assert f"\nlicense: {PROJECT['license']}\n" in text
    assert '\ntitle: "minivae: ' in text
    assert "\nauthors:\n  - name: the minivae authors\n" in text


def test_every_extra_that_a_message_names_is_there():
    named = set()
    for path in (ROOT / "minivae").rglob("*.py"):
        named |= set(re.findall(r'pip install "minivae\[(\w+)\]"', path.read_text()))
    assert named
    assert named <= set(PROJECT["optional-dependencies"])


@pytest.mark.long
def test_every_module_is_imported_without_a_warning():
    code = (
        "import importlib, pkgutil, minivae\n"
        "names = [m.name for m in pkgutil.walk_packages(minivae.__path__, 'minivae.')]\n"
        "print(len([importlib.import_module(name) for name in names if name != 'minivae.__main__']))"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert int(result.stdout) > 150
    assert result.stderr == ""


@pytest.mark.long
def test_the_source_archive_has_every_file_of_the_tree_and_the_wheel_the_package(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    if not (ROOT / ".git").exists():
        pytest.skip("this is a source archive itself: what it should have is known where it was made")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    code = f"from setuptools import build_meta as b; print(b.build_sdist({str(tmp_path)!r})); "
    code += f"print(b.build_wheel({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert set(listed.split()) - packed <= {".gitignore"}
    assert not [name for name in packed if "__pycache__" in name or name.startswith(("runs/", "build/"))]
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = {name for name in wheel.namelist() if name.startswith("minivae/")}
    assert held == {name for name in listed.split() if name.startswith("minivae/")}
