"""How Sphinx builds the book: ``sphinx-build -W lectures build/book``; nothing is trained or fetched for it."""

import argparse
import csv
import importlib
import importlib.metadata
import pkgutil
import re
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.addnodes import pending_xref

from minivae import load
from minivae.cli.main import VERBS, parser_of
from minivae.core.seeds import Stream, stream
from minivae.estimators import Elbo
from minivae.studies.explorer import Trained, explorer_page
from minivae.training.bits import binarize
from minivae.training.storage import load_model

HERE = Path(__file__).parent

project = "minivae"
author = "the minivae authors"
release = importlib.metadata.version("minivae")

extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["solutions", "models", "**.ipynb_checkpoints"]
numfig = True

nb_execution_mode = "off"  # the notebooks are stored with the output of one fresh run, which the tests check
nb_mime_priority_overrides = [
    ("html", "application/vnd.jupyter.widget-view+json", None)
]  # no kernel in a book
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
html_sourcelink_suffix = ""  # notebooks are downloaded under their own names


ROOMS = sorted(path.stem for path in (HERE / "api").glob("*.md"))


def setup(app):
    """Connect what is done to docstrings, to the pages of the reference, to figures and to the finished book."""
    app.connect("source-read", add_modules)
    app.connect("source-read", add_commands)
    app.connect("source-read", add_coverage)
    app.connect("autodoc-skip-member", skip)
    app.connect(
        "autodoc-process-docstring", tidy, priority=400
    )  # before napoleon's 500
    app.connect("doctree-read", unlink)
    app.connect("doctree-read", number_figures)
    app.connect("doctree-read", number_equations)
    app.connect("html-page-context", offer_download)
    app.connect("build-finished", write_explorer)


def add_modules(app, docname, source):
    """Append every module of a room to its page of the reference."""
    if not docname.startswith("api/"):
        return
    room = docname.removeprefix("api/")
    package = importlib.import_module(f"minivae.{room}")
    source[0] += f"\n{package.__doc__.splitlines()[0]}\n"
    for module in pkgutil.walk_packages(package.__path__, f"minivae.{room}."):
        if module.ispkg:
            continue
        directive = f".. automodule:: {module.name}\n   :members:"
        directive += "\n   :no-index:" * (
            room == "sklearn"
        )  # its VAE is another one than that of models
        title = module.name.removeprefix(f"minivae.{room}.")
        source[0] += f"\n## {title}\n\n```{{eval-rst}}\n{directive}\n```\n"


def number_figures(app, doctree):
    """Make a numbered figure of each picture that a notebook shows, whose alternative text is the caption."""
    for i, image in enumerate(list(doctree.findall(nodes.image))):
        if (
            isinstance(image.parent, nodes.figure)
            or not image.get("alt")
            or not image_of_a_cell(image)
        ):
            continue
        figure = nodes.figure(ids=[f"figure-{i + 1}"])
        image.replace_self(figure)
        figure += [image, nodes.caption(image["alt"], image["alt"])]


def number_equations(app, doctree):
    """Give each displayed formula of a lecture a number, and with it a place to link to."""
    docname = app.env.docname
    if Path(app.env.doc2path(docname)).suffix != ".ipynb":
        return
    domain = app.env.get_domain("math")
    for i, formula in enumerate(list(doctree.findall(nodes.math_block))):
        if formula.get("label"):
            continue
        label = f"{docname}-{i + 1}"
        formula["docname"], formula["label"] = docname, label
        domain.note_equation(docname, label, location=formula)
        formula["number"] = domain.get_equation_number_for(label)
        formula["ids"].append(nodes.make_id(f"equation-{label}"))


def image_of_a_cell(image):
    """Say whether a picture is the output of a notebook's cell."""
    parent = image.parent
    while parent is not None and "cell_output" not in parent.get("classes", []):
        parent = parent.parent
    return parent is not None


def offer_download(app, pagename, templatename, context, doctree):
    """Put a link to the notebook under the title of a lecture."""
    if doctree is None or Path(app.env.doc2path(pagename)).suffix != ".ipynb":
        return
    address = context["pathto"](f"_sources/{pagename}.ipynb", 1)
    link = f'<p class="download"><a href="{address}" download>Download this notebook</a></p>'
    context["body"] = re.sub(
        r"</h1>", lambda found: found[0] + link, context["body"], count=1
    )


def write_explorer(app, exception):
    """Make the explorer of the digits, of models that are stored as ``minivae train`` left them."""
    if exception is not None or app.builder.format != "html":
        return
    betas = {
        float(path.stem.split("_")[-1]): path
        for path in (HERE / "models").glob("digits_beta_*.npz")
    }
    digits = load("digits")
    x = binarize(digits.x_test, stream(0, Stream.TEST_BITS))
    order = sorted(
        betas, key=lambda beta: (beta != 1, beta)
    )  # the page starts at the ELBO
    trained = [
        Trained(*load_model(betas[beta])[:2], Elbo(beta=beta)) for beta in order
    ]
    page = explorer_page(trained, digits, x, "The digits in two latents")
    (Path(app.outdir) / "_static" / "explorer.html").write_text(
        page, encoding="utf-8"
    )


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


def add_coverage(app, docname, source):
    """Append to the page of the coverage, for each section of the notes, where the lectures say it."""
    if docname != "coverage":
        return
    where = {}
    headings = {
        path.stem: headings_of(path) for path in HERE.glob("[0-9]*.ipynb")
    }
    with (HERE / "coverage.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            lectures = where.setdefault((row["notes"], row["section"]), {})
            said = lectures.setdefault(row["lecture"], {})
            said[headings[row["lecture"]][row["cell"]]] = True
    for notes in sorted({notes for notes, _ in where}):
        source[0] += f"\n## Notes {notes}\n\n| section | said in |\n|---|---|\n"
        for section, lectures in where.items():
            if section[0] != notes:
                continue
            links = [
                f"[{name.replace('_', ' ')}]({name}.ipynb): {'; '.join(said)}"
                for name, said in sorted(lectures.items())
            ]
            source[0] += f"| {section[1]} | {'<br>'.join(links)} |\n"


def headings_of(path):
    """Return the heading under which each cell of a notebook stands, by the cell's id."""
    found, heading = {}, ""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            chapters = re.findall(r"^##? (.+)$", cell.source, re.MULTILINE)
            heading = chapters[0] if chapters else heading
        found[cell.id] = heading
    return found


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
