"""What notebooks show: a text beside each figure, and sliders that work with and without a kernel."""

import base64
import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from minivae.studies.notebooks import Slider, panels, show, slide


def line(k):
    figure, axes = panels(width=1, height=1)
    axes.plot([0, 1], [0, k])
    return figure


@pytest.fixture
def without_widgets(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # importing it fails


def frames(page):
    """Return each picture and whether it is seen."""
    return re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)"( hidden)?>', page)


@pytest.mark.usefixtures("without_widgets")
def test_a_slider_keeps_a_picture_for_each_value_and_shows_the_one_in_the_middle():
    bundle = slide(line, "k", [0.0, 0.5, 2.0, 8.0], "A line <of> slope k.")._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    found = frames(bundle["text/html"])
    assert [hidden == "" for _, _, hidden in found] == [False, False, True, False]
    assert [alt for _, alt, _ in found] == [f"A line &lt;of&gt; slope k. k = {k}" for k in ("0", "0.5", "2", "8")]
    pictures = [base64.b64decode(code) for code, _, _ in found]
    assert len(set(pictures)) == 4
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert 'max="3" value="2"' in bundle["text/html"]
    assert "<output>2</output>" in bundle["text/html"]


@pytest.mark.usefixtures("without_widgets")
def test_the_stored_slider_moves():
    from py_mini_racer import MiniRacer

    page = slide(line, "k", [0.0, 0.5, 2.0], "A line.")._repr_mimebundle_()["text/html"]
    act = re.search(r'oninput="([^"]*)"', page)[1]
    engine = MiniRacer()
    engine.eval(
        "var said, images = [{}, {}, {}], output = {};"
        "var box = {dataset: {values: '0 0.5 2'}, querySelectorAll: () => images, querySelector: () => output};"
        "var input = {value: '2', closest: () => box, setAttribute: (name, value) => { said = name + value; }};"
    )
    engine.eval(f"(function() {{ {act} }}).call(input)")
    assert engine.eval("JSON.stringify(images.map((image) => image.hidden))") == "[true,true,false]"
    assert engine.eval("output.textContent + said") == "2aria-valuetext2"


def test_where_a_kernel_has_widgets_the_figure_is_drawn_anew(monkeypatch):
    widgets = ModuleType("ipywidgets")

    def slider(value, **how):
        heard = []
        return SimpleNamespace(value=value, heard=heard, observe=lambda act, _: heard.append(act), **how)

    widgets.FloatSlider = slider
    widgets.Image = lambda **how: SimpleNamespace(**how)
    widgets.VBox = lambda parts: SimpleNamespace(
        parts=parts, _repr_mimebundle_=lambda: {"text/plain": "VBox", "widget": parts}
    )
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    bundle = slide(line, "k", [0.0, 1.0, 2.0], "A line.")._repr_mimebundle_()
    assert bundle["text/plain"] == "A line. (k: a slider)"  # the same words with widgets and without
    moved, image = bundle["widget"]
    assert (moved.value, moved.min, moved.max) == (1, 0, 2)
    moved.heard[0]({"new": 0.37})  # which is none of the stored values
    assert image.value == show(line(0.37), "A line.")._repr_mimebundle_()[0]["image/png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, "k", [0, 1], "A line."), "draw must be a function"),
        ((line, "", [0, 1], "A line."), "name must be text, got ''"),
        ((line, "k", [0, 1], " "), "alt must be text, got ' '"),
        ((line, "k", [1], "A line."), "values must be from 2 to 24 rising numbers"),
        ((line, "k", [1, 1], "A line."), "values must be from 2 to 24 rising numbers"),
        ((line, "k", np.arange(25), "A line."), "values must be from 2 to 24 rising numbers"),
        ((line, "k", "x", "A line."), "values must hold finite real numbers"),
    ],
)
def test_a_slider_that_cannot_be_is_refused_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        slide(*arguments)


def test_a_figure_has_its_text():
    data, metadata = show(line(1), "A line.")._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == data["text/plain"] == "A line."
    with pytest.raises(ValueError, match="alt must say what the figure shows"):
        show(line(1), "")
    assert isinstance(slide(line, "k", [0, 1], "A line."), Slider)
