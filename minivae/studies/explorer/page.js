/* What the page does: one code z, one input x, two ends of a walk; every change of one of them paints all that shows it. */
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("payload").textContent);
  const get = (id) => document.getElementById(id), { number } = pictures;
  const SHOWN = 12, TILES = 13, STRIP = 9;
  const rows = (text, width) => { const all = minivae.floats(text); return Array.from({ length: all.length / width }, (_, i) => all.slice(i * width, (i + 1) * width)); };
  const examples = rows(data.examples, data.n_x);
  const loaded = data.models.map(() => null);
  const now = { model: data.start, z: null, x: null, q: null, ends: null, axes: [0, 0], pen: [0, 0], drawn: 0, timer: 0 };

  /* Return a model, its network and its codes, made of text when it is first asked for. */
  function current() {
    const spec = data.models[now.model];
    if (!loaded[now.model]) {
      const n = spec.posterior.n_latent;
      loaded[now.model] = { spec, net: minivae.network(spec), codes: rows(spec.codes, n), draws: rows(spec.draws, n) };
    }
    return loaded[now.model];
  }

  const n_latent = data.models[now.model].posterior.n_latent;
  const range = (j) => { const { middle, reach } = current().spec; return [middle[j] - reach[j], middle[j] + reach[j]]; };
  const shown = () => current().spec.order.slice(0, SHOWN);
  const name = (j) => `latent ${j + 1}`;
  const clamp = (v, [low, high]) => Math.min(Math.max(v, low), high);

  // ------------------------------------------------------------------------------------------- changes of state

  function setCode(z) {
    now.z = Float64Array.from(z);
    paintSoon();
  }

  function setInput(x) {
    now.x = Float64Array.from(x);
    now.q = current().net.encode(now.x);
    setCode(now.q.mu);
  }

  function setModel(index) {
    now.model = index;
    const { spec } = current();
    get("beta").value = index;
    now.axes = n_latent > 1 ? [Math.min(...spec.order.slice(0, 2)), Math.max(...spec.order.slice(0, 2))] : [0, 0];
    now.ends = farEnds(examples.map((x) => current().net.encode(x).mu));
    makeSliders();
    setInput(now.x);
  }

  /* Return the first code and the one that is farthest from it. */
  function farEnds(codes) {
    const far = codes.map((z) => z.reduce((sum, value, j) => sum + (value - codes[0][j]) ** 2, 0));
    return [codes[0], codes[far.indexOf(Math.max(...far))]];
  }

  const onWalk = (share) => minivae.between(now.ends[0], now.ends[1], share, get("arc").checked);

  function step(share) {
    get("step").value = share;
    setCode(onWalk(share));
  }

  // ------------------------------------------------------------------------------------------- what is painted

  function paintSoon() {
    if (now.waiting) return;
    now.waiting = true;
    requestAnimationFrame(() => { now.waiting = false; paint(); });
    clearTimeout(now.timer);
    now.timer = setTimeout(() => { get("said").textContent = inWords(); }, 500);
  }

  function inWords() {
    const named = shown().slice(0, 4).map((j) => `${name(j)} ${number(now.z[j])}`);
    return `z: ${named.join(", ")}`;
  }

  function paintX(canvas, x, chosen) {
    if (data.image) pictures.images(canvas, [x], data.image, data.shades, 1);
    else pictures.bars(canvas, x, data.shades, chosen);
  }

  function paint() {
    const { net, spec } = current(), mean = net.decode(now.z);
    paintX(get("decoded"), mean, -1);
    get("decoded").setAttribute("aria-label", `E[x|z] at ${inWords()}`);
    document.querySelectorAll("#sliders input").forEach((slider) => {
      const j = Number(slider.dataset.latent);
      slider.value = now.z[j];
      slider.nextElementSibling.textContent = number(now.z[j]);
    });
    if (n_latent > 1) paintPlane();
    paintX(get("drawing"), now.x, document.activeElement === get("drawing") ? now.pen[1] : -1);
    if (data.image && document.activeElement === get("drawing")) paintPen();
    paintX(get("rebuilt"), net.decode(now.q.mu), -1);
    paintPosterior(spec);
    paintX(get("walked"), net.decode(onWalk(Number(get("step").value))), -1);
    paintStrip(net);
    get("step-now").textContent = Number(get("step").value).toFixed(2);
    document.querySelectorAll("#rates tr").forEach((row, i) => row.classList.toggle("now", i === now.model));
  }

  function frame() {
    const [i, j] = now.axes;
    return { x: range(i), y: range(j), across: name(i), up: name(j) };
  }

  function paintPlane() {
    const [i, j] = now.axes, { spec, codes } = current(), grid = get("grid").checked && data.image;
    const points = codes.map((z, at) => ({ x: z[i], y: z[j], label: data.labels === null ? null : data.labels[at] }));
    const behind = grid ? { tiles: tiles(i, j), n: TILES, shape: data.image, shades: data.shades } : { points };
    const gaussian = now.q.cov !== null;
    const ellipses = gaussian ? [0.5, 0.95].map((share) => minivae.ellipse(now.q, i, j, share)) : [];
    const shares = Array.from({ length: 21 }, (_, k) => k / 20);
    const walk = shares.map(onWalk).map((z) => [z[i], z[j]]);
    pictures.plane(get("plane"), frame(), behind, { point: [now.z[i], now.z[j]], ellipses, walk });
    get("plane").setAttribute("aria-label", `Plane of ${name(i)} (across) and ${name(j)} (up); ${inWords()}`);
    get("grid-label").hidden = !data.image || spec.posterior.n_latent < 2;
  }

  /* Return the images decoded on a grid of the plane, the other latents as they are. */
  function tiles(i, j) {
    const others = now.z.map((value, k) => (k === i || k === j ? 0 : value)).join();
    const key = `${now.model} ${i} ${j} ${others}`;
    if (!now.tiles || now.tiles.key !== key) {
      const [x, y] = [range(i), range(j)], at = ([low, high], k) => low + ((k + 0.5) / TILES) * (high - low);
      const made = Array.from({ length: TILES * TILES }, (_, k) => {
        const z = Float64Array.from(now.z);
        z[i] = at(x, k % TILES);
        z[j] = at(y, TILES - 1 - Math.floor(k / TILES));
        return current().net.decode(z);
      });
      now.tiles = { key, made };
    }
    return now.tiles.made;
  }

  function paintPosterior(spec) {
    const { q } = now, canvas = get("posterior");
    const low = Math.min(...shown().map((j) => range(j)[0])), high = Math.max(...shown().map((j) => range(j)[1]));
    pictures.posterior(canvas, low, high, shown().map((j) => ({ name: name(j), mu: q.mu[j], sd: q.sd ? q.sd[j] : null })));
    const each = shown().map((j) => `${name(j)} ${number(q.mu[j])}${q.sd ? ` \u00b1 ${number(q.sd[j])}` : ""}`);
    const nats = spec.normal ? `KL(q(z|x) || p(z)) = ${number(minivae.kl(q))} nats. ` : "";
    const what = q.sd ? "Mean, one and two standard deviations. " : "The code. ";
    get("posterior-text").textContent = `${nats}${what}${each.slice(0, 4).join(", ")}${each.length > 4 ? ", ..." : ""}`;
    canvas.setAttribute("aria-label", each.join(", "));
  }

  function paintStrip(net) {
    if (!data.image) return;
    const key = `${now.model} ${get("arc").checked} ${now.ends.map((z) => z.join()).join()}`;
    if (now.strip === key) return;
    now.strip = key;
    const way = Array.from({ length: STRIP }, (_, k) => onWalk(k / (STRIP - 1)));
    pictures.images(get("strip"), way.map((z) => net.decode(z)), data.image, data.shades, STRIP);
    get("strip").setAttribute("aria-label", `${STRIP} images decoded from A to B`);
  }

  // ------------------------------------------------------------------------------------------- the page's parts

  function makeSliders() {
    const field = get("sliders");
    field.querySelectorAll("label").forEach((label) => label.remove());
    for (const j of shown()) {
      const label = document.createElement("label"), [low, high] = range(j);
      label.className = "slider";
      label.innerHTML = "<span></span><input type=\"range\" step=\"any\"><output></output>";
      label.firstChild.textContent = name(j);
      const slider = label.children[1];
      Object.assign(slider, { min: low, max: high, step: (high - low) / 200 });
      slider.dataset.latent = j;
      slider.addEventListener("input", () => { now.z[j] = Number(slider.value); setCode(now.z); });
      field.append(label);
    }
    for (const axis of [0, 1]) {
      const select = get(`axis-${axis}`);
      select.replaceChildren(...shown().map((j) => new Option(name(j), j, false, j === now.axes[axis])));
    }
  }

  function makeExamples() {
    examples.forEach((x, i) => {
      const button = document.createElement("button"), label = data.example_labels && data.example_labels[i];
      button.type = "button";
      const title = `test example ${i + 1}${label === null ? "" : `, label ${label}`}`;
      button.setAttribute("aria-label", title);
      if (data.image) {
        const canvas = document.createElement("canvas");
        canvas.className = "pixels";
        pictures.images(canvas, [x], data.image, data.shades, 1);
        button.append(canvas);
      } else {
        button.textContent = `example ${i + 1}${label === null ? "" : ` (${label})`}`;
      }
      button.addEventListener("click", () => setInput(x));
      get("examples").append(button);
    });
  }

  function makeBetas() {
    if (data.models.length < 2) return;
    get("betas").hidden = false;
    get("beta").max = data.models.length - 1;
    data.models.forEach((model) => {
      const row = get("rates").insertRow();
      for (const value of [String(model.beta), number(model.rate), number(model.distortion)]) row.insertCell().textContent = value;
    });
    get("beta").addEventListener("input", () => { setModel(Number(get("beta").value)); tellBeta(); });
    tellBeta();
  }

  function tellBeta() {
    const text = `\u03b2 = ${data.models[now.model].beta}`;
    get("beta-now").textContent = text;
    get("beta").setAttribute("aria-valuetext", text);
  }

  // ------------------------------------------------------------------------------------------- hand and keyboard

  const place = (canvas, event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop]; };
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  /* Call drag(event) from where a finger or the mouse goes down until it is lifted. */
  function follow(canvas, drag, start) {
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      start(event);
      drag(event);
    });
    canvas.addEventListener("pointermove", (event) => { if (canvas.hasPointerCapture(event.pointerId)) drag(event); });
  }

  follow(get("plane"), (event) => {
    const [i, j] = now.axes, [x, y] = pictures.scales(get("plane"), frame()).back(...place(get("plane"), event));
    now.z[i] = clamp(x, range(i));
    now.z[j] = clamp(y, range(j));
    setCode(now.z);
  }, () => {});

  get("plane").addEventListener("keydown", (event) => {
    const [i, j] = now.axes, move = ARROWS[event.key], times = event.shiftKey ? 10 : 1;
    if (event.key === "Home") setCode(current().spec.middle);
    else if (move) {
      [[i, move[0]], [j, move[1]]].forEach(([k, by]) => { now.z[k] = clamp(now.z[k] + (by * times * (range(k)[1] - range(k)[0])) / 100, range(k)); });
      setCode(now.z);
    } else return;
    event.preventDefault();
  });

  const blank = () => new Float64Array(data.n_x).fill(data.image ? data.shades.low : 0);

  /* Ink the pixels about a place, in pixels, or take the ink away; of a row, set the bar there. */
  function brush(px, py, value) {
    const x = Float64Array.from(now.x);
    const [h, w] = data.image, radius = 0.5 * Math.max(1, Math.min(h, w) / 14);
    for (let i = 0; i < h; i++) for (let j = 0; j < w; j++) {
      let share = Math.min(Math.max(radius + 0.5 - Math.hypot(j + 0.5 - px, i + 0.5 - py), 0), 1);
      if (data.binary) share = share >= 0.5 ? 1 : 0;
      const inked = data.shades.low + share * (data.shades.high - data.shades.low), at = i * w + j;
      x[at] = value ? Math.max(x[at], inked) : Math.min(x[at], data.shades.low + data.shades.high - inked);
    }
    setInput(x);
  }

  const barHeight = (share) => data.shades.low + clamp(share, [0, 1]) * (data.shades.high - data.shades.low);

  function setBar(column, value) {
    const x = Float64Array.from(now.x);
    now.pen = [0, column];
    x[column] = value;
    setInput(x);
  }

  follow(get("drawing"), (event) => {
    const canvas = get("drawing"), [px, py] = place(canvas, event), [u, v] = [px / canvas.clientWidth, py / canvas.clientHeight];
    if (!data.image) { setBar(clamp(Math.floor(u * data.n_x), [0, data.n_x - 1]), barHeight(1 - v)); return; }
    const [h, w] = data.image, [x, y] = [u * w, v * h], from = now.last || [x, y];
    const steps = Math.ceil(2 * Math.hypot(x - from[0], y - from[1])) || 1;
    for (let k = 1; k <= steps; k++) brush(from[0] + (k / steps) * (x - from[0]), from[1] + (k / steps) * (y - from[1]), now.inking);
    now.last = [x, y];
    now.pen = [clamp(Math.floor(y), [0, h - 1]), clamp(Math.floor(x), [0, w - 1])];
  }, (event) => {
    now.last = null;
    if (!data.image) return;
    now.inking = !(event.button === 2 || event.shiftKey || get("erase").checked);
  });

  get("drawing").addEventListener("contextmenu", (event) => event.preventDefault());
  get("drawing").addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    if (!data.image) {
      if (move && move[0]) now.pen = [0, clamp(now.pen[1] + move[0], [0, data.n_x - 1])];
      else if (move) setBar(now.pen[1], barHeight((now.x[now.pen[1]] - data.shades.low) / (data.shades.high - data.shades.low || 1) + (move[1] * (event.shiftKey ? 10 : 1)) / 50));
      else return;
    } else {
      const [h, w] = data.image;
      if (move) now.pen = [clamp(now.pen[0] - move[1], [0, h - 1]), clamp(now.pen[1] + move[0], [0, w - 1])];
      const inks = event.key === " " || (move && event.shiftKey), erases = event.key === "Backspace" || event.key === "Delete";
      if (inks || erases) brush(now.pen[1] + 0.5, now.pen[0] + 0.5, inks);
      else if (!move) return;
    }
    event.preventDefault();
    const at = data.image ? `row ${now.pen[0] + 1}, column ${now.pen[1] + 1}` : `column ${now.pen[1] + 1}`;
    get("drawing").setAttribute("aria-label", `x; pen at ${at}`);
    paintSoon();
  });
  for (const event of ["focus", "blur"]) get("drawing").addEventListener(event, paintSoon);

  /* Show where the keyboard's pen is: one pixel's frame cannot be finer than a pixel, so the pixel is coloured. */
  function paintPen() {
    const pen = get("drawing").getContext("2d");
    pen.fillStyle = "rgba(213, 94, 0, 0.6)";
    pen.fillRect(now.pen[1], now.pen[0], 1, 1);
  }

  function play() {
    const button = get("play"), running = button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!running));
    if (running) return;
    let share = Number(get("step").value) >= 1 ? 0 : Number(get("step").value), before = null;
    const go = (time) => {
      if (button.getAttribute("aria-pressed") !== "true") return;
      share = Math.min(share + (before === null ? 0 : (time - before) / 4000), 1);
      before = time;
      step(share);
      if (share < 1) requestAnimationFrame(go);
      else button.setAttribute("aria-pressed", "false");
    };
    requestAnimationFrame(go);
  }

  get("middle").addEventListener("click", () => setCode(current().spec.middle));
  get("draw").addEventListener("click", () => setCode(current().draws[now.drawn++ % current().draws.length]));
  get("clear").addEventListener("click", () => setInput(blank()));
  get("set-a").addEventListener("click", () => { now.ends = [Float64Array.from(now.z), now.ends[1]]; get("step").value = 0; paintSoon(); });
  get("set-b").addEventListener("click", () => { now.ends = [now.ends[0], Float64Array.from(now.z)]; get("step").value = 1; paintSoon(); });
  get("step").addEventListener("input", () => { get("play").setAttribute("aria-pressed", "false"); step(Number(get("step").value)); });
  get("play").addEventListener("click", play);
  get("arc").addEventListener("change", paintSoon);
  get("grid").addEventListener("change", paintSoon);
  for (const axis of [0, 1]) get(`axis-${axis}`).addEventListener("change", (event) => { now.axes[axis] = Number(event.target.value); paintSoon(); });
  window.addEventListener("resize", paintSoon);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintSoon);

  // ------------------------------------------------------------------------------------------- the start

  get("about").textContent = data.about;
  get("drawing-help").textContent = data.image
    ? "Draw. By keyboard: arrows move the pen, Shift with them draws, space inks, Backspace erases."
    : "Drag a bar. By keyboard: left and right choose one, up and down change it.";
  get("drawing").setAttribute("aria-label", "x");
  for (const id of ["decoded", "drawing", "rebuilt", "walked"]) get(id).className = data.image ? "pixels" : "bars";
  get("plane-figure").hidden = get("axes").hidden = n_latent < 2;
  get("axes").querySelectorAll("label:not(#grid-label)").forEach((label) => { label.hidden = n_latent < 3; });
  get("draw").hidden = !data.models[now.model].draws;
  get("erase-label").hidden = !data.image;
  if (data.models[now.model].posterior.kind === "point") get("input-title").textContent = "x, and its code";
  get("arc-label").hidden = n_latent < 2;
  get("strip").hidden = !data.image;
  makeExamples();
  now.x = Float64Array.from(examples[0]);
  setModel(data.start);
  makeBetas();
})();
