/* As much of a browser's page as the explorer's script touches: elements that keep what is set, canvases that keep images. */
var frames = [], heard = {}, elements = {}, announced = "";

function element(id) {
  const self = {
    id, style: {}, dataset: {}, children: [], attributes: {}, handlers: {}, textContent: "", className: "", hidden: false,
    value: "0", checked: false, clientWidth: 300, clientHeight: 255, clientLeft: 0, clientTop: 0, pixels: null,
    classList: { toggle() {} },
    addEventListener(kind, act) { (self.handlers[kind] = self.handlers[kind] || []).push(act); },
    setAttribute(name, value) { self.attributes[name] = String(value); },
    getAttribute(name) { return self.attributes[name]; },
    append(child) { self.children.push(child); child.parent = self; },
    replaceChildren(...all) { self.children = all; },
    remove() { self.parent.children = self.parent.children.filter((child) => child !== self); },
    querySelectorAll(what) { return what === "label" ? self.children.slice() : []; },
    insertRow() { const row = element("row"); self.append(row); return row; },
    insertCell() { const cell = element("cell"); self.append(cell); return cell; },
    getBoundingClientRect() { return { left: 0, top: 0 }; },
    focus() { document.activeElement = self; },
    setPointerCapture() { self.captured = true; },
    hasPointerCapture() { return self.captured; },
    getContext() { return pen(self); },
    get firstChild() { return self.children[0]; },
    get nextElementSibling() { return self.parent.children[self.parent.children.indexOf(self) + 1]; },
    set innerHTML(text) { for (const name of text.match(/<\w+/g)) self.append(element(name.slice(1))); },
  };
  return self;
}

/* A pen keeps the greys of the images that are put, one after the other, and lets all else go by. */
function pen(canvas) {
  canvas.pixels = [];
  const known = {
    createImageData: (w, h) => ({ data: new Uint8ClampedArray(4 * w * h) }),
    putImageData: (image) => { canvas.pixels.push(Array.from(image.data).filter((_, i) => i % 4 === 0)); },
  };
  return new Proxy(known, { get: (target, name) => target[name] || (() => undefined), set: () => true });
}

var document = {
  activeElement: null,
  documentElement: {},
  getElementById: (id) => (elements[id] = elements[id] || element(id)),
  createElement: (name) => element(name),
  querySelectorAll: (what) => {
    if (what === "#sliders input") return elements.sliders.children.map((label) => label.children[1]);
    return what === "#rates tr" && elements.rates ? elements.rates.children : [];
  },
};
var window = { devicePixelRatio: 1, addEventListener() {}, matchMedia: () => ({ addEventListener() {} }) };
var getComputedStyle = () => ({ getPropertyValue: () => "#000" });
var requestAnimationFrame = (act) => { frames.push(act); };
var setTimeout = (act) => { announced = act; return 1; }, clearTimeout = () => {};
function Option(text, value) { this.text = text; this.value = value; }

/* Let an event happen and all that waits be painted. */
function happen(id, kind, event) {
  for (const act of document.getElementById(id).handlers[kind] || []) act(Object.assign({ preventDefault() {}, key: "", pointerId: 1, target: elements[id] }, event));
  paint();
}

function paint() {
  for (let time = 0; frames.length && time < 400; time++) frames.shift()(time * 100);
}

/* The numbers that the sliders show, by latent. */
function codes() {
  const all = [];
  for (const label of elements.sliders.children) all[label.children[1].dataset.latent] = Number(label.children[1].value);
  return all;
}
