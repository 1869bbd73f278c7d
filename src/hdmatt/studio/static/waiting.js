// Stripes over the patches whose matte is not there yet, or not of the newest trimap.
//
// Knows a canvas, where the picture lies on it, and boxes of the picture: [y0, x0, y1, x1]. Wide stripes: never
// computed, so what is seen follows from the trimap and nearby colours. Narrow stripes: computed, and painted on since.
//
//     Waiting    asks for the boxes and draws them, over views that show a matte

import { VIEWS } from "./state.js";

const PAUSE = 400; // milliseconds between two questions
const WIDE = 14, NARROW = 7; // pixels of the screen from stripe to stripe

function showsMatte(name) {
  return VIEWS.some((view) => view.name === name && view.base !== "picture");
}

function stripes(distance, ratio) { // dark beside light, to be seen on every picture
  const canvas = document.createElement("canvas"), side = Math.round(distance * ratio);
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  for (const [style, shift] of [["rgba(0, 0, 0, .6)", 0], ["rgba(255, 214, 0, .9)", ratio]]) {
    context.strokeStyle = style;
    context.lineWidth = ratio;
    context.beginPath();
    for (const at of [-side, 0, side]) {
      context.moveTo(at + shift, side);
      context.lineTo(at + side + shift, 0);
    }
    context.stroke();
  }
  return context.createPattern(canvas, "repeat");
}

export class Waiting {
  #canvas; #view; #state; #ask; #boxes = { never: [], old: [], before: { never: [], old: [] } };
  #timer = 0; #again = false; #frame = 0;

  // ask() -> a promise of { never, old, before: { never, old } }; `before` of the matte that is kept to compare
  constructor(canvas, view, state, ask) {
    [this.#canvas, this.#view, this.#state, this.#ask] = [canvas, view, state, ask];
    view.onMoved(() => this.#redraw());
    state.on(["splitAt"], () => this.#redraw());
    view.onShown(() => { this.#redraw(); this.refresh(); });
  }

  get boxes() {
    return this.#boxes;
  }

  refresh() { // now, or once after the pause
    if (this.#timer) { this.#again = true; return; }
    if (!this.#sides().some(Boolean)) return; // asked when it is seen
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      if (this.#again) { this.#again = false; this.refresh(); }
    }, PAUSE);
    this.#ask().then((boxes) => { this.#boxes = boxes; this.#redraw(); }).catch(() => {}); // the next event asks again
  }

  #sides() { // the boxes of the matte that is seen left of the split, and right of it; null: none is seen
    const of = (name) => name === "before" ? this.#boxes.before : showsMatte(name) ? this.#boxes : null;
    const { left, right } = this.#view.shown;
    return [of(left), of(right)];
  }

  #redraw() {
    this.#frame ||= requestAnimationFrame(() => { this.#frame = 0; this.#draw(); });
  }

  #draw() {
    const canvas = this.#canvas, ratio = window.devicePixelRatio, context = canvas.getContext("2d");
    [canvas.width, canvas.height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio]; // clears it, too
    const [left, right] = this.#sides(), at = this.#view.shown.split ? this.#state.get("splitAt") * canvas.width : 0;
    if (left && at) this.#stripe(context, left, 0, at);
    if (right) this.#stripe(context, right, at, canvas.width);
  }

  #stripe(context, { never, old }, from, to) { // between two columns of the canvas
    const ratio = window.devicePixelRatio;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, context.canvas.height);
    context.clip();
    for (const [boxes, distance] of [[never, WIDE], [old, NARROW]]) {
      if (!boxes.length) continue;
      const path = new Path2D();
      for (const [y0, x0, y1, x1] of boxes) {
        const [sx0, sy0] = this.#view.toScreen(y0, x0), [sx1, sy1] = this.#view.toScreen(y1, x1);
        path.rect(sx0 * ratio, sy0 * ratio, (sx1 - sx0) * ratio, (sy1 - sy0) * ratio);
      }
      context.fillStyle = stripes(distance, ratio);
      context.fill(path);
    }
    context.restore();
  }
}
