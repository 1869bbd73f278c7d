// All keys: what they do, and the list that help shows.
//
// Knows names of actions, not what they do. Most keys are known by their place on the keyboard (`code`), so that they
// lie well on every layout; undo, redo and save by their letter, as in all programs.
//
//     KEYS       one row a key: what pressing it does
//     GESTURES   what mouse, pen and fingers do, for the help
//     bindingOf  the row of a keyboard event
//     keyName    what a key is called
//     listen     calls the actions

import { VIEWS } from "./state.js";

export const KEYS = [
  { group: "Label", code: ["Digit1"], action: "label", value: 0, text: "paint background" },
  { group: "Label", code: ["Digit2"], action: "label", value: 128, text: "paint unknown" },
  { group: "Label", code: ["Digit3"], action: "label", value: 255, text: "paint foreground" },
  { group: "Tool", code: ["KeyB"], action: "tool", value: "brush", text: "brush" },
  { group: "Tool", code: ["KeyL"], action: "tool", value: "lasso", text: "lasso: what a closed line goes around" },
  { group: "Tool", code: ["KeyF"], action: "tool", value: "fill", text: "fill the area of one label" },
  { group: "Tool", code: ["KeyW"], action: "tool", value: "widen", text: "widen the unknown under the brush" },
  { group: "Tool", code: ["BracketLeft", "Comma"], action: "resize", value: 0.8, text: "smaller brush" },
  { group: "Tool", code: ["BracketRight", "Period"], action: "resize", value: 1.25, text: "larger brush" },
  { group: "Picture", code: ["Space"], hold: "pan", text: "hold and drag: move the picture" },
  { group: "Picture", code: ["Equal", "NumpadAdd"], action: "zoom", value: 1.5, text: "closer" },
  { group: "Picture", code: ["Minus", "NumpadSubtract"], action: "zoom", value: 1 / 1.5, text: "farther" },
  { group: "Picture", code: ["Digit0"], action: "home", text: "the whole picture" },
  { group: "Picture", code: ["Digit9"], action: "fullSize", text: "one pixel on one pixel" },
  { group: "Picture", code: ["ArrowLeft"], action: "pan", value: [80, 0], text: "left" },
  { group: "Picture", code: ["ArrowRight"], action: "pan", value: [-80, 0], text: "right" },
  { group: "Picture", code: ["ArrowUp"], action: "pan", value: [0, 80], text: "up" },
  { group: "Picture", code: ["ArrowDown"], action: "pan", value: [0, -80], text: "down" },
  { group: "View", code: ["KeyV"], action: "nextView", value: 1, text: "next view" },
  { group: "View", code: ["KeyV"], shift: true, action: "nextView", value: -1, text: "view before" },
  ...VIEWS.map(({ name, text }, n) => (
    { group: "View", code: [`Digit${n + 1}`], shift: true, action: "view", value: name, text: text.toLowerCase() })),
  { group: "View", code: ["KeyO"], hold: "original", text: "hold: the original" },
  { group: "View", code: ["KeyT"], action: "toggle", value: "trimap", text: "trimap over every view" },
  { group: "View", code: ["KeyS"], action: "toggle", value: "split", text: "two views, with a line to drag" },
  { group: "View", code: ["KeyK"], action: "mark", text: "keep this matte to compare with" },
  { group: "View", code: ["KeyP"], action: "toggle", value: "panel", text: "panel of settings" },
  { group: "Work", letter: "z", ctrl: true, action: "undo", text: "undo" },
  { group: "Work", letter: "z", ctrl: true, shift: true, action: "redo", text: "redo" },
  { group: "Work", letter: "y", ctrl: true, action: "redo", text: "redo" },
  { group: "Work", letter: "s", ctrl: true, action: "save", text: "save the trimap" },
  { group: "Work", letter: "e", ctrl: true, action: "export", text: "export" },
  { group: "Work", code: ["KeyR"], action: "run", text: "compute now" },
  { group: "Work", code: ["KeyA"], action: "toggle", value: "automatic", text: "compute after every stroke, or not" },
  { group: "Work", code: ["KeyN"], action: "problem", value: 1, text: "next problem of the list" },
  { group: "Work", code: ["KeyN"], shift: true, action: "problem", value: -1, text: "problem before" },
  { group: "Work", code: ["Escape"], action: "cancel", text: "drop the stroke or the box that is being drawn" },
  { group: "Work", letter: "?", action: "help", text: "this list" },
];

export const GESTURES = [
  ["Left button", "paints the label"],
  ["Right button", "paints unknown, or background while unknown is chosen"],
  ["Shift+click", "straight line from where the last stroke ended"],
  ["Alt+drag", "left and right: brush size"],
  ["Ctrl+wheel", "brush size"],
  ["Wheel", "closer and farther at the pointer"],
  ["Space+drag, middle button", "move the picture"],
  ["One finger", "moves the picture, or paints where “Finger paints” is on"],
  ["Two fingers", "move and zoom"],
  ["Pen", "pressure changes the size"],
];

// The letter on the key; on a keyboard without Latin letters, the one at this place.
function letterOf(event) {
  return /^[a-z?]$/i.test(event.key) ? event.key.toLowerCase() : event.code.replace(/^Key/, "").toLowerCase();
}

export function bindingOf(event) {
  const ctrl = event.ctrlKey || event.metaKey;
  if (event.altKey) return undefined;
  return KEYS.find((key) => {
    if (Boolean(key.ctrl) !== ctrl) return false;
    if (key.letter === "?") return event.key === "?";
    if (Boolean(key.shift) !== event.shiftKey) return false;
    return key.letter ? letterOf(event) === key.letter : key.code.includes(event.code);
  });
}

const NAMES = {
  BracketLeft: "[", BracketRight: "]", Comma: ",", Period: ".", Equal: "+", Minus: "−", NumpadAdd: "",
  NumpadSubtract: "", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓",
};

// `layout` says what is printed on a key, where the browser knows it.
export function keyName(key, layout = new Map()) {
  const before = (key.ctrl ? "Ctrl+" : "") + (key.shift ? "Shift+" : "");
  if (key.letter) return before + key.letter.toUpperCase();
  const nameOf = (code) => NAMES[code] ?? layout.get(code)?.toUpperCase() ?? code.replace(/^(Key|Digit)/, "");
  const names = key.code.map(nameOf);
  return names.filter(Boolean).map((name) => before + name).join(" or ");
}

export function listen(actions, hold) {
  const isText = ({ target }) => target.matches("input:not([type=radio], [type=checkbox], [type=range]), select");
  const held = new Map();
  window.addEventListener("keydown", (event) => {
    if (isText(event) || document.querySelector("dialog[open]")) return;
    const binding = bindingOf(event);
    if (!binding || isOwnKey(event)) return;
    event.preventDefault();
    if (!binding.hold) actions[binding.action](binding.value);
    else if (!held.has(event.code)) {
      held.set(event.code, binding.hold);
      hold(binding.hold, true);
    }
  });
  const release = (code) => {
    if (held.has(code)) hold(held.get(code), false);
    held.delete(code);
  };
  window.addEventListener("keyup", (event) => release(event.code));
  window.addEventListener("blur", () => [...held.keys()].forEach(release));
}

// Space presses the button that has the focus; arrows move sliders, the choice among labels, and the split line.
function isOwnKey({ code, target }) {
  if (code === "Space") return target.matches("button, input, summary");
  return code.startsWith("Arrow") && target.matches("input, [role=separator]");
}
