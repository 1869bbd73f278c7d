// Buttons, choices and sliders: each follows a setting or does an action, as its attributes say.
//
//     data-state="size"      shows and changes a setting
//     data-toggle="split"    a button that switches a setting on and off
//     data-action="undo"     a button that does an action, with data-value
//     bind                   connects all of a page
//     bindSplit              the line between two views

import { MORE_VIEWS, SIZES, VIEWS, clamped } from "./state.js";

const CURVE = Math.log(SIZES.most / SIZES.least);

export function bind(state, actions, focusPicture) {
  fillViews();
  for (const element of document.querySelectorAll("[data-state]")) bindSetting(element, state);
  for (const button of document.querySelectorAll("[data-toggle]")) {
    state.on([button.dataset.toggle], (on) => button.setAttribute("aria-pressed", String(Boolean(on))));
    onPress(button, () => state.toggle(button.dataset.toggle), focusPicture);
  }
  for (const button of document.querySelectorAll("[data-action]")) {
    const { action, value } = button.dataset;
    onPress(button, () => actions[action](value === undefined ? undefined : Number(value)), focusPicture);
  }
  bindSize(state);
  returnFocus(focusPicture);
  state.on(["panel"], (on) => document.body.classList.toggle("no-panel", !on));
}

// A choice made by mouse gives the keys back to the picture; one made by keyboard keeps the focus.
function returnFocus(focusPicture) {
  let byPointer = false;
  document.addEventListener("pointerdown", () => { byPointer = true; }, true);
  document.addEventListener("keydown", () => { byPointer = false; }, true);
  document.addEventListener("change", ({ target }) => {
    const isText = target.matches("[type=text], [type=number], [type=color]");
    const isThere = document.activeElement === target; // and no field that the choice has asked for
    if (byPointer && isThere && !isText && !target.closest("dialog")) focusPicture();
  });
}

// After a click the keys belong to the picture again; who goes through the page by keyboard keeps the focus.
function onPress(button, action, focusPicture) {
  button.addEventListener("click", (event) => {
    action();
    if (event.detail > 0 && !document.querySelector("dialog[open]")) focusPicture();
  });
}

function fillViews() {
  const options = (views) => views.map(({ name, text }) => new Option(text, name));
  document.getElementById("view").append(...options(VIEWS));
  document.getElementById("split-view").append(...options([...VIEWS, ...MORE_VIEWS]));
}

function bindSetting(element, state) {
  const name = element.dataset.state;
  const isNumber = ["number", "range"].includes(element.type) || name === "label";
  const read = () => {
    if (element.type === "checkbox") return element.checked;
    if (!isNumber) return element.value;
    const [least, most] = [Number(element.min || 0), Number(element.max || Infinity)];
    return clamped(Math.round(Number(element.value)) || least, least, most);
  };
  const show = (value) => {
    if (element.type === "checkbox") element.checked = value;
    else if (element.type === "radio") element.checked = element.value === String(value);
    else if (element !== document.activeElement || !isNumber) element.value = value;
  };
  state.on([name], show);
  const type = element.type === "range" ? "input" : "change"; // sliders while they are dragged
  element.addEventListener(type, () => state.set(name, read()));
  if (element.type === "number") element.addEventListener("blur", () => show(state.get(name)));
}

function bindSize(state) { // equal steps of the slider are equal factors
  const range = document.getElementById("size-range"), steps = Number(range.max);
  state.on(["size"], (size) => {
    range.value = Math.round(Math.log(size / SIZES.least) / CURVE * steps);
    range.setAttribute("aria-valuetext", `${size} pixels`);
  });
  range.addEventListener("input", () => {
    const size = Math.round(SIZES.least * Math.exp(range.value / steps * CURVE));
    state.set("size", clamped(size, SIZES.least, SIZES.most));
  });
}

export function bindSplit(state, stage) {
  const line = document.getElementById("split");
  state.on(["split"], (on) => { line.hidden = !on; });
  state.on(["splitAt"], (at) => {
    line.style.left = `${100 * at}%`;
    line.setAttribute("aria-valuenow", String(Math.round(100 * at)));
  });
  const move = (at) => state.set("splitAt", clamped(at, 0.02, 0.98));
  line.addEventListener("pointerdown", (event) => line.setPointerCapture(event.pointerId));
  line.addEventListener("pointermove", (event) => {
    if (!line.hasPointerCapture(event.pointerId)) return;
    const { left, width } = stage.getBoundingClientRect();
    move((event.clientX - left) / width);
  });
  line.addEventListener("keydown", ({ code }) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[code];
    if (step) move(state.get("splitAt") + step);
  });
}
