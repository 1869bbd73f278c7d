// The page: opens a picture and joins view, brush, keys, panels and server.
//
// Knows all the others; none of them knows this one. The address's part after # says which picture: its id, or #2.
//
//     main         opens the picture that the address names
//     Studio       one picture: what each action does, and what each event of the server changes
//     Status       the line at the bottom, and the note over the picture

import { Brush } from "./brush.js";
import { Export, Start, askBand, showHelp } from "./dialogs.js";
import { listen } from "./keys.js";
import { Problems } from "./problems.js";
import { Failure, Server, openPicture, openPictures } from "./server.js";
import { State, VIEWS } from "./state.js";
import { bind, bindSplit } from "./toolbar.js";
import { View } from "./view.js";
import { Waiting } from "./waiting.js";

const byId = (id) => document.getElementById(id);
const WHAT = {
  matte: "Matte", refresh: "Looking at the whole picture", export: "Export", picture: "Reading the picture",
  start: "Finding the object", band: "Widening the border",
};
const ASKED = ["start", "band"]; // somebody waits for the answer
const CANCELLED = 409;
const QUIET = 500; // milliseconds between two lines of progress, for who listens to them

class Status {
  #progress = ""; #saidAt = 0; #state = ""; #busy = ""; #far = "";

  constructor() {
    byId("note-close").addEventListener("click", () => this.note(""));
  }

  note(message, hint = "") {
    byId("note").hidden = !message;
    byId("note-message").textContent = message;
    byId("note-hint").textContent = hint;
  }

  fail(error) {
    if (error.status === CANCELLED) return this.note("Cancelled.", "The trimap is as it was.");
    this.note(error.message, error.hint);
    if (error instanceof Error && !(error instanceof Failure)) console.error(error); // ours
    return undefined;
  }

  // Says what is done until the answer comes, and how far it is once that is told.
  async during(text, answer) {
    [this.#busy, this.#far] = [text, "…"];
    byId("progress").hidden = byId("cancel-work").hidden = false;
    byId("progress").removeAttribute("value");
    this.#say(true);
    try {
      return await answer;
    } finally {
      this.#busy = "";
      byId("progress").hidden = byId("cancel-work").hidden = true;
      this.#say(true);
    }
  }

  progress({ what, done, of, seconds_left: seconds }) {
    const bar = byId("progress"), over = done >= of, left = seconds == null ? "" : `, ${lengthOf(seconds)} left`;
    if (this.#busy) {
      if (!ASKED.includes(what) || over) return;
      [bar.max, bar.value] = [of, done];
      this.#far = `: ${Math.floor(100 * done / of)} %${left}`;
    } else {
      bar.hidden = over;
      byId("cancel-work").hidden = over || !["export", ...ASKED].includes(what);
      bar.max = Math.max(of, 1);
      if (of > 1) bar.value = Math.min(done, of);
      else bar.removeAttribute("value"); // one long step
    }
    const far = of > 1 ? `: ${done} of ${of}${left}` : "…";
    this.#progress = over ? "" : `${WHAT[what] ?? what}${far}`;
    this.#say(over);
  }

  state({ pending, stale, known }, automatic) {
    const how = automatic ? "are being computed" : "wait for Update (R)";
    if (!known) this.#state = "Nothing is painted yet";
    else if (pending) this.#state = `${pending} patches ${how} (striped)`;
    else this.#state = stale ? "Preview; it settles when the pen rests" : "Preview; export computes the final matte";
    this.#say(true);
  }

  #say(now) {
    if (!now && performance.now() - this.#saidAt < QUIET) return;
    this.#saidAt = performance.now();
    const text = this.#busy ? this.#busy + this.#far : this.#progress || this.#state;
    if (byId("status").textContent !== text) byId("status").textContent = text;
  }
}

function percent(share) {
  return share < 0.1 ? (100 * share).toPrecision(2) : Math.round(100 * share);
}

function lengthOf(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

class Studio {
  constructor(info, pictures) {
    this.info = info;
    this.state = new State();
    this.status = new Status();
    this.server = new Server(info.id, (away, error) => this.#away(away, error));
    this.view = new View(byId("viewer"), info, this.server, this.state);
    this.pictures = pictures;
    this.mayReplace = new Set(); // names that the trimap may be saved under, over what is there
  }

  async open() {
    await this.view.open();
    this.brush = new Brush(byId("paint"), this.view, this.state, (stroke) => this.#paint(stroke));
    const problems = () => this.server.problems();
    const show = (box) => { this.view.show(box); this.brush.mark(box); };
    this.waiting = new Waiting(byId("waiting"), this.view, this.state, () => this.server.unfinished());
    this.problems = new Problems(problems, show, () => this.info.version);
    this.export = new Export((values) => this.server.export(values));
    this.start = new Start((what, mask) => this.#begin(what, mask));
    const picture = byId("paint"), actions = this.#actions();
    bind(this.state, actions, () => picture.focus({ preventScroll: true }));
    bindSplit(this.state, byId("stage"));
    listen(actions, (what, on) => what === "pan" ? this.brush.setPanning(on) : this.state.set(what, on));
    this.#bindRest();
    this.#told({ type: "state", ...this.info });
    this.server.listen((event) => this.#told(event), () => this.#catchUp());
    const { trimap_file: file, undo, redo, known } = this.info;
    if (!file && !undo && !redo && !known) this.start.open(this.info);
  }

  #actions() {
    const guarded = (action) => async (value) => {
      try {
        return await action(value);
      } catch (error) {
        return this.status.fail(error);
      }
    };
    const actions = {
      label: (label) => this.state.set("label", label),
      tool: (tool) => this.state.set("tool", tool),
      resize: (factor) => this.state.resize(factor),
      toggle: (name) => this.state.toggle(name),
      view: (name) => this.state.set("view", name),
      nextView: (by) => this.#nextView(by),
      pan: ([dx, dy]) => this.view.pan(dx, dy),
      zoom: (factor) => this.view.zoomAtCentre(factor),
      home: () => this.view.home(),
      fullSize: () => this.view.fullSize(),
      undo: async () => this.#changed(await this.server.undo()),
      redo: async () => this.#changed(await this.server.redo()),
      run: async () => { await this.#tellPlace(); await this.server.run(); },
      mark: () => this.#mark(),
      check: () => this.problems.check(),
      problem: (by) => this.problems.step(by),
      save: () => this.mayReplace.size ? this.#save() : this.#askName(),
      export: () => this.export.open(this.stem, this.info.output_folder),
      start: () => this.start.open(this.info),
      band: () => this.#band(),
      scribbles: () => this.#endScribbles(true),
      noScribbles: () => this.#endScribbles(false),
      cancelWork: () => this.server.cancel(),
      cancel: () => { this.brush.cancel(); this.status.note(""); },
      help: showHelp,
    };
    return Object.fromEntries(Object.entries(actions).map(([name, action]) => [name, guarded(action)]));
  }

  #bindRest() {
    const choice = byId("pictures");
    choice.replaceChildren(...this.pictures.map(({ id, name }) => new Option(name, id, false, id === this.info.id)));
    choice.addEventListener("change", () => {
      window.open(`#${choice.value}`, "_blank");
      choice.value = this.info.id;
    });
    document.title = `${this.info.name} – hdmatt studio`;
    const showScale = () => { byId("scale").textContent = `${percent(this.view.scale * window.devicePixelRatio)} %`; };
    this.view.onMoved(showScale);
    showScale();
    byId("open").addEventListener("submit", (event) => { event.preventDefault(); this.#openAnother(); });
    byId("save-name").value = `${this.stem}-trimap.png`;
    byId("save").addEventListener("submit", (event) => { event.preventDefault(); this.#save(); });
    byId("background-file").addEventListener("change", (event) => this.#setBackground(event.target.value.trim()));
    this.state.set("automatic", this.info.automatic);
    this.state.on(["automatic"], (automatic) => {
      if (automatic === this.info.automatic) return;
      this.info.automatic = automatic;
      this.server.settings({ automatic }).catch((error) => this.status.fail(error));
      this.status.state(this.info, automatic);
    });
    if (matchMedia("(max-width: 1000px)").matches) this.state.set("panel", false);
    window.addEventListener("beforeunload", (event) => {
      if (this.info.unsaved || this.server.waiting) event.preventDefault();
    });
    window.addEventListener("hashchange", () => location.reload());
  }

  get stem() {
    return this.info.name.replace(/\.[^.]+$/, "");
  }

  // changes of the trimap

  async #paint(stroke) {
    try {
      await this.#changed(await this.server.stroke(stroke));
    } catch (error) {
      this.status.fail(error); // the stroke disappears: the trimap is as it was
    }
  }

  async #changed(answer) {
    Object.assign(this.info, { version: answer.version, undo: answer.undo, redo: answer.redo });
    this.#showSteps();
    if (answer.box) await this.view.dirty("trimap", answer.box);
    return answer;
  }

  #showSteps() {
    byId("undo").disabled = !this.info.undo;
    byId("redo").disabled = !this.info.redo;
  }

  #begin(what, mask) {
    const task = { alpha: { alpha: true }, mask: { mask } }[what];
    if (task) return this.#startFrom(task);
    if (what === "paint") {
      byId("scribbles").hidden = false;
      this.#showUnknown();
      this.state.set("label", 255);
      return undefined;
    }
    this.view.home();
    this.status.note("Draw a box around the object.");
    this.brush.boxed = (box) => { this.status.note(""); this.#startFrom({ box }); };
    return undefined;
  }

  #endScribbles(use) {
    byId("scribbles").hidden = true;
    this.#showUnknown();
    return use ? this.#startFrom({ scribbles: true }) : undefined;
  }

  async #startFrom(task) {
    try {
      await this.#changed(await this.status.during("Finding the object", this.server.start(task)));
    } catch (error) {
      if (error.status === CANCELLED) return this.status.fail(error);
      if (task.box) this.#begin("box"); // the next drag is one, too
      if (task.scribbles) this.#begin("paint");
      return this.status.fail(error);
    }
    return this.#band().catch((error) => this.status.fail(error));
  }

  #showUnknown() { // where nothing else is known it would only hide the picture's colours
    this.state.set("unknownShown", this.info.known && byId("scribbles").hidden);
  }

  async #band() {
    const band = await askBand();
    if (!band) return;
    await this.#changed(await this.status.during("Widening the border", this.server.band(band)));
  }

  // the rest

  #nextView(by) {
    const at = VIEWS.findIndex(({ name }) => name === this.state.get("view"));
    this.state.set("view", VIEWS[(at + by + VIEWS.length) % VIEWS.length].name);
  }

  async #mark() {
    await this.server.mark();
    this.view.dirty("before", null);
    this.state.set("view", "alpha");
    this.state.set("splitView", "before");
    this.state.set("split", true);
  }

  #tellPlace() {
    const near = this.brush.pointer;
    return near ? this.server.settings({ near }) : undefined;
  }

  #askName() {
    this.state.set("panel", true);
    byId("save").scrollIntoView();
    byId("save-name").focus();
    byId("save-name").select();
  }

  async #save() { // over a file that is there only when asked for twice, or if it was written by this window
    const name = byId("save-name").value.trim();
    try {
      const { file } = await this.server.save(name, this.mayReplace.has(name));
      this.mayReplace.add(name);
      this.status.note(`The trimap is saved: ${file}`);
      byId("paint").focus({ preventScroll: true }); // the keys belong to the picture again
    } catch (error) {
      if (!error.message.includes("exists already")) return this.status.fail(error);
      this.mayReplace.add(name);
      this.status.note(`${error.message}.`, "Save again to replace it, or choose another name.");
    }
    return undefined;
  }

  async #openAnother() {
    try {
      const { id } = await openPicture(byId("open-name").value.trim());
      window.open(`#${id}`, "_blank");
    } catch (error) {
      this.status.fail(error);
    }
  }

  async #setBackground(background) {
    if (!background) return;
    try {
      await this.server.settings({ background });
      this.view.backgroundChanged();
      this.state.set("view", "picture");
    } catch (error) {
      this.status.fail(error);
    }
  }

  #away(away, error) {
    if (!away) return this.status.note("");
    const { waiting } = this.server;
    const wait = waiting ? ` What was painted since (${waiting}) waits in this window: leave it open.` : "";
    if (error?.status === 404) {
      return this.status.note("The server has other pictures open.", `Start it again with ${this.info.name}.${wait}`);
    }
    if (error?.status === 507) return this.status.note(`${error.message}.`, `${error.hint}${wait}`);
    const again = error?.status === 401
      ? "Open the address that the terminal shows in this browser."
      : `Start it again: hdmatt studio … --port ${location.port}.`;
    return this.status.note("The server does not answer.", `${again}${wait}`);
  }

  async #catchUp() {
    Object.assign(this.info, await this.server.info());
    this.#told({ type: "state", ...this.info });
    await this.view.dirtyAll();
  }

  #told(event) {
    if (event.type === "tiles") {
      const known = event.layer === "trimap" && event.client === this.server.client; // by the stroke's answer
      if (!known) this.view.dirty(event.layer, event.box);
      if (event.layer === "alpha") this.waiting.refresh();
    } else if (event.type === "progress") {
      this.status.progress(event);
    } else if (event.type === "state") {
      const { id: _, type: __, ...changes } = event; // its id is the event's
      Object.assign(this.info, changes);
      this.state.set("automatic", this.info.automatic); // another tab may have switched it
      this.#showSteps();
      this.#showUnknown();
      this.status.state(this.info, this.state.get("automatic"));
      this.waiting.refresh();
    } else if (event.type === "exported") {
      this.status.note("Exported:", `${event.files.join(", ")} in ${this.info.output_folder}`);
    } else if (event.type === "changed") {
      this.status.note("The picture file changed on disk.", "What is painted may not fit any more: start anew.");
    } else if (event.type === "lost") {
      this.#catchUp().catch((error) => this.status.fail(error));
    } else if (event.type === "error") {
      this.status.fail(event);
    }
  }
}

async function main() {
  try {
    const pictures = await openPictures();
    const wanted = decodeURIComponent(location.hash.slice(1));
    const found = pictures.find(({ id }, n) => id === wanted || String(n + 1) === wanted);
    const { id } = found ?? pictures[0];
    const studio = new Studio(await new Server(id, () => {}).info(), pictures);
    await studio.open();
    if (wanted && !found) studio.status.note("The picture of this address is not open here.", "This is another one.");
    window.studio = studio; // for whoever looks with the browser's own tools
    document.body.dataset.ready = "true";
  } catch (error) {
    new Status().fail(error);
  }
}

main();
