"""How Sphinx builds the book: ``sphinx-build -W lectures build/book``; nothing is run or fetched for it."""

import argparse
import importlib
import importlib.metadata
import pkgutil
import re

from sphinx.addnodes import pending_xref

from minivae.cli.main import VERBS, parser_of

project = "minivae"
author = "the minivae authors"
release = importlib.metadata.version("minivae")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
]
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
    app.connect("source-read", add_commands)
    app.connect("autodoc-skip-member", skip)
    app.connect(
        "autodoc-process-docstring", tidy, priority=400
    )  # before napoleon's 500
    app.connect("doctree-read", unlink)


ROOMS = [
    "core",
    "nn",
    "datasets",
    "distributions",
    "estimators",
    "models",
    "classical",
    "training",
]
ROOMS += ["exercises", "studies", "sklearn", "cli"]


def add_modules(app, docname, source):
    """Append every module of the package to the page of the reference, room by room."""
    if docname != "api":
        return
    for room in ROOMS:
        package = importlib.import_module(f"minivae.{room}")
        source[0] += f"\n## {room}\n\n{package.__doc__.splitlines()[0]}\n"
        for module in pkgutil.walk_packages(
            package.__path__, f"minivae.{room}."
        ):
            if module.ispkg:
                continue
            directive = f".. automodule:: {module.name}\n   :members:"
            directive += "\n   :no-index:" * (
                room == "sklearn"
            )  # its VAE is another one than that of models
            title = module.name.removeprefix("minivae.")
            source[0] += f"\n### {title}\n\n```{{eval-rst}}\n{directive}\n```\n"


def add_commands(app, docname, source):
    """Append every verb of the command line to the page of the commands, as its parser knows it."""
    if docname != "commands":
        return
    subparsers = next(
        a
        for a in parser_of(VERBS)._actions
        if isinstance(a, argparse._SubParsersAction)
    )
    for name, verb in subparsers.choices.items():
        rows = [
            f"| {_words(action)} | {_escaped(action.help % {'default': action.default})} |"
            for action in verb._actions
            if not isinstance(action, argparse._HelpAction)
        ]
        table = "\n".join(["| | |", "|---|---|", *rows])
        source[0] += (
            f"\n## minivae {name}\n\n{_escaped(verb.description)}\n\n{table}\n"
        )


def skip(app, what, name, obj, skipped, options):
    """Leave out the methods that scikit-learn generates for metadata, whose text links into its own book."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def _words(action):
    """Return what is typed for an option, as code."""
    metavar = action.metavar or (
        action.dest.upper() if action.option_strings else action.dest
    )
    value = (
        ""
        if action.nargs == 0
        else " ".join(metavar)
        if isinstance(metavar, tuple)
        else metavar
    )
    value += " ..." if action.nargs in ("*", "+") else ""
    return f"`{' '.join([*action.option_strings[-1:], value]).strip()}`"


def _escaped(text):
    """Return plain text that Markdown leaves as it is, options as code."""
    text = re.sub(r"([\\`*_|<>\[\]$])", r"\\\1", text or "")
    return re.sub(r"(?<!\S)--[a-z][a-z-]*", r"`\g<0>`", text)


def unlink(app, doctree):
    """Leave the words of a type or a shape, such as n_latent, as they are: each would be a link to some attribute."""
    for link in list(doctree.findall(pending_xref)):
        if link.get("refdomain") == "py" and re.fullmatch(
            r"[a-z]\w*", link["reftarget"]
        ):
            link.replace_self(link.children)


def tidy(app, what, name, obj, options, lines):
    """Show indented formulas as they stand, keep | and * in the text, and make reference numbers unique."""
    label = name.replace(".", "-")
    tidied, literal, in_section = [], False, False
    for i, line in enumerate(lines):
        underline = lines[i + 1] if i + 1 < len(lines) else ""
        in_section = in_section or bool(
            re.fullmatch(r"-{4,}", underline.strip())
        )
        if line.strip() and not line.startswith("    "):
            literal = False
        elif (
            line.strip()
            and not literal
            and not in_section
            and i
            and not lines[i - 1].strip()
        ):
            announced = any(
                before.endswith("::") for before in lines[i - 2 : i]
            )
            tidied += [] if announced else ["::", ""]
            literal = True
        code = literal or line.lstrip().startswith((">>>", "..."))
        if not code:
            line = re.sub(
                r"(``.*?``|\[\d+\]_)|([|*]|(?<=\w)_(?!\w))",
                lambda m: m[1] or "\\" + m[2],
                line,
            )
            line = re.sub(r"\[(\d+)\](_|(?= \w))", rf"[{label}-\1]\2", line)
        tidied.append(line)
    lines[:] = tidied
