// What the page is set to: one place that tools, view and keys read and change.
//
// Knows nothing of the server and of elements. Everything is a plain value; who wants to follow one listens, and who
// must refuse one guards it.
//
//     LABELS, VIEWS     what can be chosen, in the order of their keys
//     otherLabel        what the right button paints
//     State             values, set and listened to
//     clamped           a number inside of its range

export const LABELS = new Map([[0, "background"], [128, "unknown"], [255, "foreground"]]);
export const SIZES = { least: 1, most: 5000 };

// `base` is the tile layer, `background` what a composite lies over; "colour" and "picture" are filled in by view.js
export const VIEWS = [
  { name: "overlay", text: "Trimap over the picture", base: "picture", trimap: true },
  { name: "alpha", text: "Alpha", base: "alpha" },
  { name: "black", text: "Over black", base: "composite", background: "000000" },
  { name: "white", text: "Over white", base: "composite", background: "ffffff" },
  { name: "colour", text: "Over a colour", base: "composite", background: "colour" },
  { name: "checker", text: "Over a checker", base: "composite", background: "checker" },
  { name: "picture", text: "Over a picture", base: "composite", background: "picture" },
  { name: "foreground", text: "Foreground", base: "foreground" },
];
// only beside the others: right of the split line, or while a key is held
export const MORE_VIEWS = [
  { name: "original", text: "Original", base: "picture" },
  { name: "before", text: "Kept matte", base: "before" },
];

export function otherLabel(label) {
  return label === 128 ? 0 : 128;
}

export function clamped(value, least, most) {
  return Math.min(most, Math.max(least, value));
}

export class State {
  #values = {
    label: 128, tool: "brush", size: 60, pressure: true, fingerPaints: false, amount: 20,
    view: "overlay", trimap: false, unknownShown: true, strength: 60, colour: "#d8d2c8", original: false,
    split: false, splitAt: 0.5, splitView: "alpha", automatic: true, panel: true,
  };
  #listeners = [];
  #guards = [];

  get(name) {
    return this.#values[name];
  }

  set(name, value) {
    if (!(name in this.#values)) throw new Error(`no setting ${name}`);
    if (this.#values[name] === value) return;
    const isAllowed = this.#guards.every(([names, allows]) => !names.includes(name) || allows(value, name));
    if (isAllowed) this.#values[name] = value;
    const kept = this.#values[name]; // a refused one is shown again where it was chosen
    for (const [names, listener] of this.#listeners) if (names.includes(name)) listener(kept, name);
  }

  guard(names, allows) { // allows(value, name): whether a setting may become this now
    this.#guards.push([names, allows]);
  }

  toggle(name) {
    this.set(name, !this.get(name));
  }

  resize(factor) { // at least a pixel at a time, so that small brushes change, too
    const size = this.get("size"), next = Math.round(size * factor);
    this.set("size", clamped(next === size ? size + Math.sign(factor - 1) : next, SIZES.least, SIZES.most));
  }

  on(names, listener) { // the listener is called at once, so that it starts out right
    this.#listeners.push([names, listener]);
    for (const name of names) listener(this.get(name), name);
  }
}
