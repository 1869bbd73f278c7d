// The windows over the page: where to begin, the unknown border, export, and the list of keys.
//
// Knows their elements; what is done with the answers is the caller's.
//
//     Start       where the object is: a box, scribbles, a mask file, the picture's transparency, nothing
//     askBand     how wide the unknown border is to be
//     Export      names of files, and whether those that are there may be replaced
//     showHelp    all keys

import { GESTURES, KEYS, keyName } from "./keys.js";

const byId = (id) => document.getElementById(id);

// open(dialog) resolves to the value of the button that closed it; "" for Escape
function open(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue), { once: true }));
}

export class Start {
  #dialog = byId("start-dialog");

  // chosen(what, maskName): "box", "paint", "alpha" or "mask"
  constructor(chosen) {
    for (const button of this.#dialog.querySelectorAll("[data-start]")) {
      button.addEventListener("click", () => {
        const name = byId("mask-name");
        if (button.dataset.start === "mask" && !name.value.trim()) return name.focus();
        this.#dialog.close();
        chosen(button.dataset.start, name.value.trim());
      });
    }
  }

  open({ has_alpha: hasAlpha, known }) {
    this.#dialog.querySelector("[data-start=alpha]").disabled = !hasAlpha;
    byId("start-anew").hidden = !known;
    byId("start-first").hidden = known;
    return open(this.#dialog);
  }
}

// What the server's `band` takes, or null. `doubt`: what speaks against the object that was found
export async function askBand(doubt) {
  byId("band-doubt").textContent = doubt ?? "";
  byId("band-doubt").hidden = !doubt;
  byId("band-automatic").classList.toggle("main", !doubt); // what is advised, and has the focus
  byId("band-cancel").classList.toggle("main", Boolean(doubt));
  byId("band-cancel").autofocus = Boolean(doubt);
  const answer = await open(byId("band-dialog"));
  if (answer === "automatic") return { automatic: true };
  if (answer !== "fixed") return null;
  return { inside: Number(byId("band-inside").value), outside: Number(byId("band-outside").value) };
}

const FILES = [
  ["alpha", "Alpha", "_alpha.png", true],
  ["cutout", "Cut-out with transparency", "_cutout.png", true],
  ["foreground", "Foreground colours", "_foreground.png", false],
  ["composite", "Over the background", "_composite.png", false],
  ["psd", "Photoshop file with the matte as mask", ".psd", false],
  ["layered", "EXR with layers", ".exr", false],
  ["trimap", "Trimap", "_trimap.png", true],
];

export class Export {
  #dialog = byId("export-dialog");

  // send(values) -> a promise; it is refused with what the server says
  constructor(send) {
    this.send = send;
    byId("export-go").addEventListener("click", () => this.#go());
  }

  open(stem, folder) {
    if (!byId("export-rows").children.length) byId("export-rows").append(...FILES.map((file) => fileRow(file, stem)));
    byId("folder").textContent = folder || "the output folder";
    this.#problem("");
    return open(this.#dialog);
  }

  #problem(text, mayReplace = false) {
    byId("export-problem").textContent = text;
    byId("overwrite-row").hidden = !mayReplace;
    byId("overwrite").checked = false;
    if (mayReplace) byId("overwrite").focus();
  }

  // how they are written: what differs from the defaults
  #how() {
    const values = {};
    for (const element of this.#dialog.querySelectorAll("[data-export]")) {
      const value = element.type === "checkbox" ? element.checked : element.value;
      if (value) values[element.dataset.export] = element.type === "number" ? Number(value) : value;
    }
    const range = [Number(byId("export-low").value), Number(byId("export-high").value)];
    if (range[0] !== 0 || range[1] !== 1) values.matte_range = range;
    return values;
  }

  async #go() {
    const chosen = [...byId("export-rows").children].filter((row) => row.querySelector("[type=checkbox]").checked);
    const nameIn = (row) => row.querySelector("[type=text]").value.trim();
    const values = Object.fromEntries(chosen.map((row) => [row.dataset.name, nameIn(row)]));
    if (!chosen.length) return this.#problem("Choose at least one file.");
    if (values.composite) values.background = byId("export-background").value.trim();
    if (byId("overwrite").checked) values.overwrite = true;
    Object.assign(values, this.#how());
    try {
      await this.send(values);
      this.#dialog.close();
    } catch (error) {
      const said = `${error.message}. ${error.hint ?? ""}`;
      this.#problem(said, /exists? already/.test(said));
    }
  }
}

function fileRow([name, text, end, first], stem) {
  const row = document.createElement("div"), label = document.createElement("label");
  const check = Object.assign(document.createElement("input"), { type: "checkbox", checked: first });
  const file = Object.assign(document.createElement("input"), { type: "text", value: stem + end, autocomplete: "off" });
  file.setAttribute("aria-label", `${text}: name of the file`);
  label.className = "check";
  label.append(check, ` ${text}`);
  row.className = "row";
  row.dataset.name = name;
  row.append(label, file);
  file.addEventListener("input", () => { check.checked = true; });
  return row;
}

export async function showHelp() {
  const layout = await navigator.keyboard?.getLayoutMap?.().catch(() => undefined);
  const groups = Map.groupBy ? Map.groupBy(KEYS, ({ group }) => group) : new Map([["Keys", KEYS]]);
  const rows = [...groups].map(([group, keys]) => table(group, keys.map((key) => [keyName(key, layout), key.text])));
  byId("help-list").replaceChildren(...rows, table("Mouse, pen and fingers", GESTURES));
  return open(byId("help-dialog"));
}

function table(title, rows) {
  const element = document.createElement("table"), caption = element.createCaption();
  caption.textContent = title;
  for (const [name, text] of rows) {
    const row = element.insertRow(), key = document.createElement("th");
    key.scope = "row";
    key.textContent = name;
    row.append(key);
    row.insertCell().textContent = text;
  }
  return element;
}
