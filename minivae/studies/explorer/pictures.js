/* What is painted on a canvas: images and bars of x, the plane of two latents, a posterior. */
"use strict";

var pictures = (() => {
  const COLORS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7B58BB", "#808080", "#B8860B", "#A05050"];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => value.toFixed(2).replace("-", "\u2212");

  /* Make a canvas as sharp as the screen is; return its pen, its width and its height in CSS pixels. */
  function sharp(canvas, ratio) {
    const width = Math.max(canvas.clientWidth, 40), height = Math.round(width * ratio), scale = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    return { pen, width, height };
  }

  /* Return the grey, 0 to 255, of a value of the data. */
  function grey(value, shades) {
    const share = Math.min(Math.max((value - shades.low) / (shades.high - shades.low || 1), 0), 1);
    return Math.round(255 * (shades.dark ? 1 - share : share));
  }

  /* Paint one image after another, a gap of one pixel between, at a place of a canvas of as many pixels. */
  function images(canvas, rows, shape, shades, columns) {
    const [h, w] = shape, lines = Math.ceil(rows.length / columns), gap = rows.length > 1 ? 1 : 0;
    canvas.width = columns * (w + gap) - gap;
    canvas.height = lines * (h + gap) - gap;
    const pen = canvas.getContext("2d"), picture = pen.createImageData(w, h);
    rows.forEach((x, at) => {
      for (let i = 0; i < h * w; i++) {
        picture.data.fill(grey(x[i], shades), 4 * i, 4 * i + 3);
        picture.data[4 * i + 3] = 255;
      }
      pen.putImageData(picture, (at % columns) * (w + gap), Math.floor(at / columns) * (h + gap));
    });
  }

  /* Paint the columns of a row that is no image as bars from zero, on the range that the data have. */
  function bars(canvas, x, shades, chosen) {
    const { pen, width, height } = sharp(canvas, 0.6), step = width / x.length;
    const y = (value) => height - ((value - shades.low) / (shades.high - shades.low || 1)) * height;
    const zero = Math.min(Math.max(y(0), 0), height);
    pen.clearRect(0, 0, width, height);
    x.forEach((value, i) => {
      pen.fillStyle = i === chosen ? colour("--point") : colour("--accent");
      const top = Math.min(Math.max(y(value), 0), height);
      pen.fillRect(i * step + step * 0.1, Math.min(top, zero), step * 0.8, Math.max(Math.abs(top - zero), 1));
    });
    pen.fillStyle = colour("--soft");
    pen.fillRect(0, zero, width, 1);
    pen.fillText(number(shades.high), 4, 13);
    pen.fillText(number(shades.low), 4, height - 4);
  }

  /* Where a code stands on the plane's canvas, and back. */
  function scales(canvas, frame) {
    const width = canvas.clientWidth, height = canvas.clientHeight;
    return {
      x: (v) => ((v - frame.x[0]) / (frame.x[1] - frame.x[0])) * width,
      y: (v) => height - ((v - frame.y[0]) / (frame.y[1] - frame.y[0])) * height,
      back: (px, py) => [
        frame.x[0] + (px / width) * (frame.x[1] - frame.x[0]),
        frame.y[0] + (1 - py / height) * (frame.y[1] - frame.y[0]),
      ],
    };
  }

  /* Paint the plane: codes or decoded images behind, the posterior's ellipses, the walk, and the point. */
  function plane(canvas, frame, behind, front) {
    const { pen, width, height } = sharp(canvas, 0.85), at = scales(canvas, frame);
    pen.clearRect(0, 0, width, height);
    if (behind.tiles) {
      const n = behind.n, small = document.createElement("canvas");
      images(small, behind.tiles, behind.shape, behind.shades, n);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(small, 0, 0, width, height);
    } else {
      pen.textAlign = "center";
      behind.points.forEach(({ x, y, label }) => {
        pen.fillStyle = label === null ? colour("--accent") : COLORS[label % COLORS.length];
        if (label === null) pen.fillRect(at.x(x) - 2, at.y(y) - 2, 4, 4);
        else pen.fillText(String(label), at.x(x), at.y(y) + 4);
      });
    }
    pen.textAlign = "left";
    pen.fillStyle = colour("--front");
    pen.strokeStyle = colour("--back");
    pen.lineWidth = 3;
    const write = (text, x, y) => { pen.strokeText(text, x, y); pen.fillText(text, x, y); };
    for (const [share, align] of [[0, "left"], [1, "right"]]) {
      pen.textAlign = align;
      write(number(frame.x[share]), share * (width - 8) + 4, height - 5);
    }
    pen.textAlign = "center";
    write(frame.across, width / 2, height - 5);
    pen.textAlign = "left";
    write(number(frame.y[1]), 4, 13);
    write(frame.up, 4, height / 2);
    write(number(frame.y[0]), 4, height - 19);
    pen.strokeStyle = colour("--front");
    pen.lineWidth = 1.5;
    for (const { x, y, axes, turn } of front.ellipses) {
      const a = axes[0], b = axes[1];
      pen.beginPath();
      for (let k = 0; k <= 60; k++) {
        const angle = (k / 60) * 2 * Math.PI, u = a * Math.cos(angle), v = b * Math.sin(angle);
        pen.lineTo(at.x(x + u * Math.cos(turn) - v * Math.sin(turn)), at.y(y + u * Math.sin(turn) + v * Math.cos(turn)));
      }
      pen.stroke();
    }
    pen.setLineDash([4, 3]);
    pen.beginPath();
    front.walk.forEach(([x, y]) => pen.lineTo(at.x(x), at.y(y)));
    pen.stroke();
    pen.setLineDash([]);
    if (front.walk.length) {
      pen.strokeStyle = colour("--back");
      pen.lineWidth = 3;
      write("A", at.x(front.walk[0][0]) + 5, at.y(front.walk[0][1]) - 5);
      const [x, y] = front.walk[front.walk.length - 1];
      write("B", at.x(x) + 5, at.y(y) - 5);
    }
    pen.beginPath();
    pen.arc(at.x(front.point[0]), at.y(front.point[1]), 8, 0, 2 * Math.PI);
    pen.fillStyle = colour("--point");
    pen.fill();
    pen.lineWidth = 2;
    pen.strokeStyle = "#fff";
    pen.stroke();
  }

  /* Paint the mean of each latent, and bars of one and of two standard deviations about it, on one range. */
  function posterior(canvas, low, high, rows) {
    const line = 22, { pen, width, height } = sharp(canvas, (rows.length * line + 24) / Math.max(canvas.clientWidth, 40));
    const left = 70, x = (v) => left + 8 + ((v - low) / (high - low)) * (width - left - 16);
    pen.clearRect(0, 0, width, height);
    rows.forEach((row, i) => {
      const y = i * line + line / 2 + 2;
      pen.fillStyle = colour("--front");
      pen.textAlign = "left";
      pen.fillText(row.name, 6, y + 4);
      pen.strokeStyle = colour("--rule");
      pen.lineWidth = 1;
      stroke(pen, left + 8, y, width - 8, y);
      pen.strokeStyle = colour("--accent");
      for (const [times, thick] of row.sd === null ? [] : [[2, 2], [1, 6]]) {
        pen.lineWidth = thick;
        stroke(pen, Math.max(x(row.mu - times * row.sd), left), y, Math.min(x(row.mu + times * row.sd), width), y);
      }
      pen.fillStyle = colour("--point");
      pen.beginPath();
      pen.arc(Math.min(Math.max(x(row.mu), left), width), y, 4, 0, 2 * Math.PI);
      pen.fill();
    });
    pen.fillStyle = colour("--soft");
    pen.fillText(number(low), left, height - 6);
    pen.textAlign = "right";
    pen.fillText(number(high), width - 4, height - 6);
  }

  function stroke(pen, x0, y0, x1, y1) {
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
  }

  return { images, bars, plane, scales, posterior, number };
})();
