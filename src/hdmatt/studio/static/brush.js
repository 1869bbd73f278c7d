// Mouse, pen and fingers on the picture: painting, moving, zooming.
//
// Knows pointer events, the view and the settings; the server only as `send`. Every pointer is one of: painting,
// moving the picture, changing the brush's size, one of two fingers.
//
//     Brush    listens to a canvas that lies over the picture, and draws on it what is not in the tiles yet
//
// The canvas takes all pointers, and OpenSeadragon none: so the first finger of two never leaves a dot behind.

import { Ink, drawCursor, drawLine } from "./ink.js";
import { SIZES, clamped, otherLabel } from "./state.js";

const PIECE = 2000; // points of a stroke that are sent at once
const LASSO = 8000; // points of a lasso, which cannot be sent in pieces
const CLOSE = 0.4; // screen pixels: a point that near to the one before says nothing new
const LIGHTEST = 0.04; // of the brush's size, for a pen that barely touches
const RING = 8; // screen pixels between a marked box and its line
const SNAP = 10; // screen pixels: a box that ends so near to the picture's edge ends at it
const ERASER = 5; // the button of a pen's other end

export class Brush {
  #canvas; #context; #view; #state; #send;
  #ink = new Ink();
  #now = null; // the stroke that is being drawn
  #last = null; // where the last one ended, for straight lines
  #doing = new Map(); // pointer -> { what, x, y }
  #cursor = null;
  #frame = 0;
  panning = false; // Space is held
  marked = null; // a box with a line around it, until something is pressed
  boxed = null; // called with a box, where one is to be drawn instead of a stroke

  // send(stroke) resolves when the stroke is in the tiles on the screen, or was refused
  constructor(canvas, view, state, send) {
    [this.#canvas, this.#view, this.#state, this.#send] = [canvas, view, state, send];
    this.#context = canvas.getContext("2d");
    const on = (type, listener) => canvas.addEventListener(type, listener, { passive: false });
    on("pointerdown", (event) => this.#press(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#release(event));
    on("pointercancel", (event) => this.#cancel(event));
    on("pointerleave", () => { this.#cursor = null; this.#redraw(); });
    on("wheel", (event) => this.#wheel(event));
    on("contextmenu", (event) => event.preventDefault());
    state.on(["size", "label", "tool"], () => this.#redraw());
    view.onMoved(() => { this.#ink.redrawn(); this.#redraw(); });
    new ResizeObserver(() => this.#redraw()).observe(canvas);
  }

  setPanning(on) {
    this.panning = on;
    this.#canvas.classList.toggle("panning", on);
  }

  cancel() { // what is being drawn, or was to be drawn
    this.boxed = null;
    this.#drop();
  }

  mark(box) {
    this.marked = box;
    this.#redraw();
  }

  get pointer() { // [y, x] in the picture, or null
    return this.#cursor && this.#view.toPicture(this.#cursor.x, this.#cursor.y);
  }

  // pointers

  #press(event) {
    event.preventDefault();
    this.marked = null;
    this.#canvas.focus({ preventScroll: true });
    this.#canvas.setPointerCapture(event.pointerId);
    const at = place(event);
    this.#doing.set(event.pointerId, { ...at, what: this.#whatFor(event) });
    this.#follow(event);
    const fingers = this.#fingers();
    if (fingers.length > 1) {
      this.#drop();
      for (const finger of fingers) finger.what = "pinch";
    } else if (this.#doing.get(event.pointerId).what === "paint") {
      this.#begin(event);
    }
  }

  #whatFor({ button, altKey, pointerType }) {
    if (pointerType === "touch") return this.#state.get("fingerPaints") || this.boxed ? "paint" : "pan";
    if (button === 1 || this.panning) return "pan";
    if (button === 0 && altKey) return "size";
    return [0, 2, ERASER].includes(button) ? "paint" : "nothing";
  }

  #fingers() {
    return [...this.#doing.values()].filter(({ touch }) => touch);
  }

  #move(event) {
    this.#follow(event);
    const pointer = this.#doing.get(event.pointerId);
    if (!pointer) return;
    const { x, y } = place(event);
    if (pointer.what === "paint") {
      for (const one of event.getCoalescedEvents?.() ?? []) this.#extend(one);
      this.#extend(event);
    } else if (pointer.what === "pan") {
      this.#view.pan(x - pointer.x, y - pointer.y);
    } else if (pointer.what === "size") {
      const size = Math.round(this.#state.get("size") * Math.exp((x - pointer.x) / 120));
      if (size === this.#state.get("size")) return; // small steps add up
      this.#state.set("size", clamped(size, SIZES.least, SIZES.most));
    } else if (pointer.what === "pinch") {
      this.#pinch(pointer, x, y);
    }
    Object.assign(pointer, { x, y });
  }

  #pinch(pointer, x, y) {
    const other = this.#fingers().find((finger) => finger !== pointer);
    if (!other) return;
    const before = Math.hypot(pointer.x - other.x, pointer.y - other.y), now = Math.hypot(x - other.x, y - other.y);
    this.#view.pan((x - pointer.x) / 2, (y - pointer.y) / 2);
    if (before > 0 && now > 0) this.#view.zoom(now / before, (x + other.x) / 2, (y + other.y) / 2);
  }

  #release(event) {
    const pointer = this.#doing.get(event.pointerId);
    this.#doing.delete(event.pointerId);
    if (pointer?.what === "paint") this.#end();
    if (event.pointerType === "touch") this.#cursor = null;
    this.#redraw();
  }

  #cancel(event) {
    this.#doing.delete(event.pointerId);
    this.#drop();
  }

  #wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 33 : event.deltaMode === 2 ? 400 : 1);
    if (event.ctrlKey) this.#state.resize(pixels < 0 ? 1.1 : 1 / 1.1);
    else this.#view.zoom(Math.exp(-pixels * 0.002), event.offsetX, event.offsetY);
    this.#follow(event);
  }

  #follow(event) {
    this.#cursor = event.pointerType === "touch" && !this.#doing.size ? null : place(event);
    this.#redraw();
  }

  // strokes

  #begin(event) {
    const kind = this.boxed ? "box" : this.#state.get("tool");
    const chosen = this.#state.get("label");
    const label = kind === "widen" ? 128 : event.button === 0 ? chosen : otherLabel(chosen);
    this.#now = { kind, label, points: [], amount: kind === "widen" ? this.#state.get("amount") : undefined };
    const straight = event.shiftKey && this.#last && (kind === "brush" || kind === "widen");
    if (straight) this.#now.points.push([...this.#last, this.#radius(event)]);
    this.#ink.add(this.#now);
    this.#extend(event);
  }

  #radius({ pointerType, pressure }) {
    const light = pointerType === "pen" && this.#state.get("pressure") ? Math.max(LIGHTEST, pressure) : 1;
    return this.#state.get("size") / 2 * light;
  }

  #extend(event) {
    if (!this.#now) return;
    const { points, kind } = this.#now, { x, y } = place(event), radius = this.#radius(event);
    const point = [...this.#view.toPicture(x, y), radius].map((value) => Math.round(value * 100) / 100);
    const last = points.at(-1);
    const near = CLOSE / this.#view.scale;
    if (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < near && Math.abs(radius - last[2]) < near) return;
    if (last && kind === "fill") return;
    points.push(point);
    this.#last = point.slice(0, 2);
    if (kind !== "lasso" && points.length >= PIECE) this.#sendPiece(point);
    if (kind === "lasso" && points.length > LASSO) this.#now.points = points.filter((_, n) => n % 2 === 0);
    this.#redraw();
  }

  #sendPiece(last) { // the rest of the stroke begins where this piece ends
    const piece = this.#now;
    this.#now = { ...piece, points: [last] };
    this.#ink.add(this.#now);
    this.#give(piece);
  }

  #end() {
    const stroke = this.#now;
    this.#now = null;
    if (!stroke) return;
    if (stroke.kind === "box") {
      this.#ink.remove(stroke);
      this.#endBox(stroke.points);
    } else if (stroke.kind === "lasso" && stroke.points.length < 3) {
      this.#ink.remove(stroke);
    } else {
      stroke.closed = true;
      this.#give(stroke);
    }
    this.#redraw();
  }

  #endBox(points) {
    const [a, b] = [points[0], points.at(-1)], size = [this.#view.height, this.#view.width];
    const near = SNAP / this.#view.scale;
    const snapped = (value, end) => value < near ? 0 : value > end - near ? end : Math.round(value);
    const corner = (pick) => [0, 1].map((axis) => snapped(pick(a[axis], b[axis]), size[axis]));
    const done = this.boxed;
    this.boxed = null;
    done([...corner(Math.min), ...corner(Math.max)]);
  }

  async #give(stroke) {
    const { kind, label, points, amount } = stroke;
    await this.#send({ kind, label, points, amount });
    this.#ink.remove(stroke);
    this.#redraw();
  }

  #drop() {
    if (this.#now) this.#ink.remove(this.#now);
    this.#now = null;
    this.#redraw();
  }

  // what is drawn

  #redraw() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const ratio = window.devicePixelRatio, canvas = this.#canvas, context = this.#context;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((value) => Math.round(value * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.clearRect(0, 0, width, height);
    if (!width || !height) return;
    if (!this.#ink.empty) this.#ink.drawOn(context, this.#view);
    if (this.#now?.kind === "lasso") drawLine(context, this.#now.points, this.#view, this.#now.label, false);
    if (this.#now?.kind === "box") drawLine(context, corners(this.#now.points), this.#view, 255, true);
    if (this.marked) this.#drawMark(context);
    this.#drawCursor(context);
  }

  #drawMark(context) {
    const [y0, x0, y1, x1] = this.marked, around = RING / this.#view.scale;
    drawLine(context, corners([[y0 - around, x0 - around], [y1 + around, x1 + around]]), this.#view, 128, true);
  }

  #drawCursor(context) {
    const tool = this.#state.get("tool");
    if (!this.#cursor || this.panning || this.boxed || (tool !== "brush" && tool !== "widen")) return;
    const radius = (this.#now?.points.at(-1)?.[2] ?? this.#state.get("size") / 2) * this.#view.scale;
    const label = tool === "widen" ? 128 : this.#now?.label ?? this.#state.get("label");
    drawCursor(context, this.#cursor.x, this.#cursor.y, radius, label, tool === "widen");
  }
}

function place(event) {
  return { x: event.offsetX, y: event.offsetY, touch: event.pointerType === "touch" };
}

function corners(points) {
  const [[y0, x0], [y1, x1]] = [points[0], points.at(-1)];
  return [[y0, x0], [y0, x1], [y1, x1], [y1, x0]];
}
