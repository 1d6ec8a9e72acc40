/* A trained model in plain JavaScript: its encoder, its decoder and the paths between codes. No page is needed for it;
   the tests hold every function to the package's own. Arithmetic is in doubles on the package's float32 weights. */
"use strict";

var minivae = (() => {
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  /* Return the float32 numbers, least byte first, of a text in base 64. */
  function floats(text) {
    const values = new Uint8Array(128);
    for (let i = 0; i < 64; i++) values[DIGITS.charCodeAt(i)] = i;
    const bytes = new Uint8Array((text.length / 4) * 3);  // up to two more than there are, for the padding
    for (let i = 0, at = 0; i < text.length; i += 4) {
      let word = 0;
      for (let k = 0; k < 4; k++) word = (word << 6) | values[text.charCodeAt(i + k)];
      for (let k = 16; k >= 0; k -= 8) bytes[at++] = (word >> k) & 255;
    }
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => view.getFloat32(4 * i, true));
  }

  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
  const ACTIVATIONS = {
    relu: (x) => (x > 0 ? x : 0),
    tanh: Math.tanh,
    elu: (x) => (x > 0 ? x : Math.expm1(x)),
    sigmoid,
    softplus,
  };

  /* Return y = x W + b; W stands row by row at a place of the weights, then b. */
  function dense(layer, weights, at, x) {
    const { n_in, n_out } = layer;
    const y = new Float64Array(n_out);
    for (let j = 0; j < n_out; j++) y[j] = weights[at + n_in * n_out + j];
    for (let i = 0; i < n_in; i++) {
      const xi = x[i], row = at + i * n_out;
      if (xi !== 0) for (let j = 0; j < n_out; j++) y[j] += xi * weights[row + j];
    }
    return y;
  }

  /* Return what the layers make of x, one after the other. */
  function run(layers, weights, at, x) {
    let y = Float64Array.from(x);
    for (const layer of layers) {
      if (layer.kind === "dense") {
        y = dense(layer, weights, at, y);
        at += (layer.n_in + 1) * layer.n_out;
      } else {
        y = y.map(ACTIVATIONS[layer.kind]);
      }
    }
    return y;
  }

  const size = (layers) => layers.reduce((n, l) => n + (l.kind === "dense" ? (l.n_in + 1) * l.n_out : 0), 0);

  /* E[x|z], by likelihood, of what the decoder gives. */
  const MEANS = {
    bernoulli: (out) => out.map(sigmoid),
    gaussian: (out) => out,
    "gaussian-per-pixel": (out) => out.slice(0, out.length / 2),
  };

  /* q(z|x), by posterior, of the encoder's head: mean, standard deviations, covariance, log-variances' sum. */
  const POSTERIORS = {
    point: (head) => ({ mu: head, sd: null, cov: null, logDet: null }),
    fixed: (head, n, variance) => independent(head, new Float64Array(n).fill(Math.log(variance))),
    diagonal: (head, n) => independent(head.slice(0, n), head.slice(n)),
    full: (head, n) => {
      const L = [];
      for (let i = 0, at = 2 * n; i < n; i++) {
        L.push(new Float64Array(n));
        for (let j = 0; j < i; j++) L[i][j] = head[at++];
        L[i][i] = Math.exp(head[n + i]);
      }
      const cov = (i, j) => L[i].reduce((sum, value, k) => sum + value * L[j][k], 0);
      const logDet = 2 * head.slice(n, 2 * n).reduce((sum, value) => sum + value, 0);
      return { mu: head.slice(0, n), sd: Float64Array.from(L, (_, i) => Math.sqrt(cov(i, i))), cov, logDet };
    },
  };

  function independent(mu, logVar) {
    const sd = logVar.map((s) => Math.exp(s / 2));
    const logDet = logVar.reduce((sum, value) => sum + value, 0);
    return { mu, sd, cov: (i, j) => (i === j ? sd[i] * sd[i] : 0), logDet };
  }

  /* KL(q(z|x) || N(0, I)) in nats: 1/2 (|mu|^2 + trace - L - log det). */
  function kl(q) {
    let sum = -q.logDet;
    for (let i = 0; i < q.mu.length; i++) sum += q.mu[i] * q.mu[i] + q.cov(i, i) - 1;
    return sum / 2;
  }

  /* Return a model's two maps: decode(z) is E[x|z], encode(x) is q(z|x). */
  function network(model) {
    const weights = floats(model.weights), middle = size(model.encoder);
    const { kind, n_latent, variance } = model.posterior;
    return {
      decode: (z) => MEANS[model.likelihood](run(model.decoder, weights, middle, z)),
      encode: (x) => POSTERIORS[kind](run(model.encoder, weights, 0, x), n_latent, variance),
    };
  }

  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const unit = (a) => { const length = Math.sqrt(dot(a, a)); return a.map((v) => (length > 0 ? v / length : 0)); };
  const without = (v, u) => { const along = dot(u, v); return v.map((value, i) => value - along * u[i]); };
  const line = (a, b, t) => Float64Array.from(a, (value, i) => (1 - t) * value + t * b[i]);

  /* Return the code a share t of the way from a to b: on the line, or on the arc whose length runs straight. */
  function between(a, b, t, onArc) {
    a = Float64Array.from(a);
    b = Float64Array.from(b);
    const far = Math.sqrt(dot(a, a)), near = Math.sqrt(dot(b, b));
    if (!onArc || a.length < 2 || far === 0 || near === 0) return line(a, b, t);
    if (t === 0 || t === 1) return t === 0 ? a : b;
    const u = unit(a), v = unit(b);
    let across = without(v, u);
    const cosine = dot(u, v), sine = Math.sqrt(dot(across, across));
    if (cosine < 0 && sine < 1e-15) {  // opposite: towards the axis that is most nearly at right angles
      const sizes = u.map(Math.abs), least = sizes.indexOf(Math.min(...sizes));
      across = without(u.map((_, i) => (i === least ? 1 : 0)), u);
    }
    across = unit(without(unit(across), u));
    const angle = t * Math.atan2(sine, cosine), length = (1 - t) * far + t * near;
    return u.map((value, i) => length * (Math.cos(angle) * value + Math.sin(angle) * across[i]));
  }

  /* Return centre, half axes and turn of the ellipse in which a share of a Gaussian's pair (i, j) lies. */
  function ellipse(q, i, j, share) {
    const a = q.cov(i, i), b = q.cov(i, j), c = q.cov(j, j), half = (a + c) / 2;
    const root = Math.sqrt(((a - c) / 2) ** 2 + b * b), radius = Math.sqrt(-2 * Math.log(1 - share));
    const axes = [half + root, Math.max(half - root, 0)].map((value) => radius * Math.sqrt(value));
    return { x: q.mu[i], y: q.mu[j], axes, turn: Math.atan2(2 * b, a - c) / 2 };
  }

  return { floats, run, size, network, kl, between, ellipse };
})();
