"""How Sphinx builds the book: ``sphinx-build -W lectures build/book``; nothing is run or fetched for it."""

import importlib
import importlib.metadata
import pkgutil
import re

from sphinx.addnodes import pending_xref

project = "minivae"
author = "the minivae authors"
release = importlib.metadata.version("minivae")

extensions = ["myst_nb", "sphinx_design", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx-mathjax-offline"]
exclude_patterns = ["solutions", "**.ipynb_checkpoints"]

nb_execution_mode = "off"  # the notebooks are stored with the output of one fresh run, which the tests check
myst_enable_extensions = ["amsmath", "dollarmath"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say shapes as well
napoleon_google_docstring = False
napoleon_use_param = False  # a shape such as (n_params,) is no link to one of the ten attributes of that name
napoleon_use_ivar = True

html_theme = "furo"
html_title = "minivae"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["style.css"]


def setup(app):
    """Connect what is done to docstrings and to the page of the reference."""
    app.connect("source-read", add_modules)
    app.connect("autodoc-process-docstring", tidy, priority=400)  # before napoleon's 500
    app.connect("doctree-read", unlink)


ROOMS = ["core", "nn", "datasets", "distributions", "estimators", "models", "classical", "training"]
ROOMS += ["exercises", "studies", "cli"]


def add_modules(app, docname, source):
    """Append every module of the package to the page of the reference, room by room."""
    if docname != "api":
        return
    for room in ROOMS:
        package = importlib.import_module(f"minivae.{room}")
        source[0] += f"\n## {room}\n\n{package.__doc__.splitlines()[0]}\n"
        for module in pkgutil.walk_packages(package.__path__, f"minivae.{room}."):
            if module.ispkg:
                continue
            directive = f".. automodule:: {module.name}\n   :members:"
            title = module.name.removeprefix("minivae.")
            source[0] += f"\n### {title}\n\n```{{eval-rst}}\n{directive}\n```\n"


def unlink(app, doctree):
    """Leave the words of a type or a shape, such as n_latent, as they are: each would be a link to some attribute."""
    for link in list(doctree.findall(pending_xref)):
        if link.get("refdomain") == "py" and re.fullmatch(r"[a-z]\w*", link["reftarget"]):
            link.replace_self(link.children)


def tidy(app, what, name, obj, options, lines):
    """Show indented formulas as they stand, keep | and * in the text, and make reference numbers unique."""
    label = name.replace(".", "-")
    tidied, literal, in_section = [], False, False
    for i, line in enumerate(lines):
        underline = lines[i + 1] if i + 1 < len(lines) else ""
        in_section = in_section or bool(re.fullmatch(r"-{4,}", underline.strip()))
        if line.strip() and not line.startswith("    "):
            literal = False
        elif line.strip() and not literal and not in_section and i and not lines[i - 1].strip():
            announced = any(before.endswith("::") for before in lines[i - 2 : i])
            tidied += [] if announced else ["::", ""]
            literal = True
        code = literal or line.lstrip().startswith((">>>", "..."))
        if not code:
            line = re.sub(r"(``.*?``|\[\d+\]_)|([|*]|(?<=\w)_(?!\w))", lambda m: m[1] or "\\" + m[2], line)
            line = re.sub(r"\[(\d+)\](_|(?= \w))", rf"[{label}-\1]\2", line)
        tidied.append(line)
    lines[:] = tidied
