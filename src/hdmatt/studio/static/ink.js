// Strokes that the server has not answered yet, drawn over the picture: opaque on a canvas of their own, so that a
// later one covers an earlier one, then laid over the picture as a whole.
//
// Knows canvases; nothing of pointers and of the server. Points are [y, x, radius] in pixels of the picture.
//
//     COLOURS     a label's colour, the same as the server's overlay
//     Ink         strokes on a canvas of the window's size
//     drawCursor  the brush's circle

export const COLOURS = { 0: "#2850ff", 128: "#ffd600", 255: "#00c86e" };
const WIDEN = "#ffffff"; // what becomes unknown under the brush is known only to the server
const STRENGTH = 0.4;
const LEAST = 0.5; // screen pixels: a brush below stays to be seen

export class Ink {
  #canvas = document.createElement("canvas");
  #strokes = []; // { stroke, drawn: points that are on the canvas already }

  get empty() {
    return this.#strokes.length === 0;
  }

  add(stroke) {
    this.#strokes.push({ stroke, drawn: 0 });
  }

  remove(stroke) {
    this.#strokes = this.#strokes.filter((one) => one.stroke !== stroke);
    this.redrawn();
  }

  redrawn() { // the next frame draws everything anew: strokes went, or the picture lies elsewhere
    for (const one of this.#strokes) one.drawn = 0;
    this.#canvas.width = 0;
  }

  drawOn(context, view) {
    const { width, height } = context.canvas;
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      for (const one of this.#strokes) one.drawn = 0;
      Object.assign(this.#canvas, { width, height });
    }
    for (const one of this.#strokes) drawStroke(this.#canvas.getContext("2d"), one, view);
    context.save(); // nothing is painted beside the picture
    place(context, view);
    context.beginPath();
    context.rect(0, 0, view.width, view.height);
    context.clip();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = STRENGTH;
    context.drawImage(this.#canvas, 0, 0);
    context.restore();
  }
}

function place(context, view) { // from now on, drawn in pixels of the picture
  const ratio = window.devicePixelRatio, [left, top] = view.toScreen(0, 0), scale = view.scale;
  context.setTransform(scale * ratio, 0, 0, scale * ratio, left * ratio, top * ratio);
  return scale;
}

function drawStroke(context, one, view) {
  const { kind, label, points } = one.stroke;
  const scale = place(context, view);
  context.fillStyle = kind === "widen" ? WIDEN : COLOURS[label];
  if (kind === "lasso" && one.stroke.closed) context.fill(polygon(points), "evenodd");
  if (kind === "brush" || kind === "widen") {
    for (let n = one.drawn; n < points.length; n++) {
      const [y, x, radius] = points[n];
      context.beginPath();
      context.arc(x, y, Math.max(radius, LEAST / scale), 0, 2 * Math.PI);
      context.fill();
      if (n) fillBetween(context, points[n - 1], points[n], LEAST / scale);
    }
  }
  one.drawn = points.length;
  context.setTransform(1, 0, 0, 1, 0, 0);
}

// Between two discs: the four points where their common tangents touch.
function fillBetween(context, [y0, x0, r0], [y1, x1, r1], least) {
  const distance = Math.hypot(x1 - x0, y1 - y0), a = Math.max(r0, least), b = Math.max(r1, least);
  if (distance <= Math.abs(a - b)) return; // one disc lies inside of the other
  const along = Math.atan2(y1 - y0, x1 - x0), open = Math.acos((a - b) / distance);
  const corners = [[x0, y0, a, open], [x1, y1, b, open], [x1, y1, b, -open], [x0, y0, a, -open]];
  context.beginPath();
  for (const [x, y, r, turn] of corners) context.lineTo(x + r * Math.cos(along + turn), y + r * Math.sin(along + turn));
  context.fill();
}

function polygon(points) {
  const path = new Path2D();
  for (const [y, x] of points) path.lineTo(x, y);
  path.closePath();
  return path;
}

// Dark below and light above, so that it shows on every picture; the label's colour in between.
function outlined(context, path, colour, ratio) {
  for (const [style, width] of [["rgba(0, 0, 0, .8)", 4], ["#fff", 2.5], [colour, 1.5]]) {
    context.strokeStyle = style;
    context.lineWidth = width * ratio;
    context.stroke(path);
  }
}

export function drawCursor(context, x, y, radius, label, dashed) {
  const ratio = window.devicePixelRatio, path = new Path2D();
  path.arc(x * ratio, y * ratio, Math.max(radius, 1) * ratio, 0, 2 * Math.PI);
  context.setLineDash(dashed ? [6 * ratio, 4 * ratio] : []);
  outlined(context, path, COLOURS[label], ratio);
  context.setLineDash([]);
}

export function drawLine(context, points, view, label, closed) {
  const ratio = window.devicePixelRatio, path = new Path2D();
  for (const [y, x] of points) path.lineTo(...view.toScreen(y, x).map((value) => value * ratio));
  if (closed) path.closePath();
  outlined(context, path, COLOURS[label], ratio);
}
