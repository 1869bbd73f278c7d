// The page: opens a picture and joins view, brush, keys, panels and server.
//
// Knows all the others; none of them knows this one. The address's part after # says which picture: its id, or #2.
//
//     main         opens the picture that the address names
//     Studio       one picture: what each action does, and what each event of the server changes

import { Brush } from "./brush.js";
import { Export, Start, askBand, showHelp } from "./dialogs.js";
import { listen } from "./keys.js";
import { Notes } from "./notes.js";
import { Problems } from "./problems.js";
import { bindScrolling } from "./scrolling.js";
import { Failure, Server, openPicture, openPictures } from "./server.js";
import { MORE_VIEWS, State, VIEWS } from "./state.js";
import { StatusLine } from "./status.js";
import { bind, bindSplit } from "./toolbar.js";
import { View } from "./view.js";
import { Waiting } from "./waiting.js";

const byId = (id) => document.getElementById(id);
const CANCELLED = 409;
const SURER = "Look at it first. Start… with a tighter box, or with scribbles, is surer.";
const LOADING = 150; // milliseconds that a view may take before that is said

function percent(share) {
  return share < 0.1 ? (100 * share).toPrecision(2) : Math.round(100 * share);
}

class Studio {
  constructor(info, pictures) {
    this.info = info;
    this.state = new State();
    this.status = new StatusLine();
    this.notes = new Notes();
    this.server = new Server(info.id, (error) => this.#troubled(error));
    this.view = new View(byId("viewer"), info, this.server, this.state);
    this.pictures = pictures;
    this.mayReplace = new Set(); // names that the trimap may be saved under, over what is there
  }

  async open() {
    this.state.guard(["view", "splitView"], (view, setting) => {
      const isThere = view !== "picture" || Boolean(this.info.background);
      if (!isThere) this.#askBackground(setting);
      return isThere;
    });
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
    this.#follow();
    this.#showBackground();
    this.server.listen(this.info.event, (event) => this.#told(event), () => this.#catchUp());
    const { trimap_file: file, undo, redo, known } = this.info;
    if (!file && !undo && !redo && !known) this.start.open(this.info);
  }

  #actions() {
    const guarded = (action) => async (value) => {
      try {
        return await action(value);
      } catch (error) {
        return this.#fail(error);
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
      noBox: () => this.#endBox(),
      cancelWork: () => this.server.cancel(),
      cancel: () => { this.#endBox(); this.notes.say(""); this.notes.clear("action"); },
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
    byId("save-name").value = `${this.stem}_trimap.png`;
    byId("save").addEventListener("submit", (event) => { event.preventDefault(); this.#save(); });
    byId("background").addEventListener("submit", (event) => { // a new name was heard of as a change
      event.preventDefault();
      if (this.info.background === byId("background-file").value.trim()) this.state.set("view", "picture");
    });
    byId("background-file").addEventListener("change", () => this.#setBackground());
    this.#bindLoading();
    this.state.set("automatic", this.info.automatic);
    this.state.on(["automatic"], (automatic) => {
      if (automatic === this.info.automatic) return;
      this.info.automatic = automatic;
      this.server.settings({ automatic }).catch((error) => this.#fail(error));
      this.#showStatus();
    });
    if (matchMedia("(max-width: 1000px)").matches) this.state.set("panel", false);
    bindScrolling();
    this.view.home(true); // what is around it is there now
    window.addEventListener("beforeunload", (event) => {
      if (this.info.unsaved || this.server.waiting) event.preventDefault();
    });
    window.addEventListener("hashchange", () => location.reload());
  }

  #bindLoading() { // what is seen is still the view before
    let timer = 0;
    const nameOf = (view) => [...VIEWS, ...MORE_VIEWS].find(({ name }) => name === view).text;
    this.view.onShown((name) => {
      if (!name) {
        clearTimeout(timer);
        timer = 0;
        byId("loading").hidden = true;
      } else {
        byId("loading").textContent = `${nameOf(name)}: loading…`;
        timer ||= setTimeout(() => { byId("loading").hidden = false; }, LOADING);
      }
    });
  }

  #fail(error) {
    if (error.status === CANCELLED) return this.notes.say("Cancelled. The trimap is as it was.");
    this.notes.warn("action", error.message, error.hint);
    if (error instanceof Error && !(error instanceof Failure)) console.error(error); // ours
    return undefined;
  }

  #showStatus() {
    const { exported, server: { trouble, waiting } } = this, automatic = this.state.get("automatic");
    this.status.show({ ...this.info, automatic, trouble, waiting, exported });
  }

  get stem() {
    return this.info.name.replace(/\.[^.]+$/, "");
  }

  // changes of the trimap

  async #paint(stroke) {
    try {
      await this.#changed(await this.server.stroke(stroke));
    } catch (error) {
      this.#fail(error); // the stroke disappears: the trimap is as it was
    }
  }

  async #changed(answer) {
    Object.assign(this.info, { version: answer.version, undo: answer.undo, redo: answer.redo });
    this.#trimapChanged();
    this.#showSteps();
    if (answer.box) await this.view.dirty("trimap", answer.box);
    return answer;
  }

  #trimapChanged() { // in this window or in another
    this.exported = null;
    this.problems.grewOld();
  }

  #showSteps() {
    byId("undo").disabled = !this.info.undo;
    byId("redo").disabled = !this.info.redo;
  }

  #begin(what, mask) {
    this.notes.clear("action"); // whatever was wrong with the start before
    const task = { alpha: { alpha: true }, mask: { mask } }[what];
    if (task) return this.#startFrom(task);
    if (what === "paint") {
      if (this.info.known) this.#keepStrokes();
      byId("scribbles").hidden = false;
      this.#showUnknown();
      this.state.set("label", 255);
      return undefined;
    }
    byId("boxing").hidden = false;
    this.view.home(true); // its edges are seen, too
    this.brush.boxed = (box) => { this.#endBox(); this.#startFrom({ box }); };
    return undefined;
  }

  async #keepStrokes() { // found and loaded labels would count as scribbles: what was painted stays alone
    try {
      const { box, undo } = await this.#changed(await this.server.start({ painted: true }));
      this.takenAway = box ? undo : 0;
    } catch (error) {
      this.#fail(error);
    }
  }

  #endScribbles(use) {
    byId("scribbles").hidden = true;
    this.#showUnknown();
    return use ? this.#startFrom({ scribbles: true }) : this.#bringBack();
  }

  async #bringBack() { // what was taken away for the scribbles
    while (this.takenAway && this.info.undo >= this.takenAway) await this.#changed(await this.server.undo());
    this.takenAway = 0;
  }

  #endBox() {
    byId("boxing").hidden = true;
    this.brush.cancel();
  }

  async #startFrom(task) {
    this.notes.clear("action");
    let doubt = null;
    try {
      ({ doubt } = await this.#changed(await this.server.start(task)));
    } catch (error) {
      if (error.status === CANCELLED) return this.#fail(error);
      if (task.box) this.#begin("box"); // the next drag is one, too
      if (task.scribbles) this.#begin("paint");
      return this.#fail(error);
    }
    this.takenAway = 0;
    return this.#band(doubt).catch((error) => this.#fail(error));
  }

  #showUnknown() { // where nothing else is known it would only hide the picture's colours
    this.state.set("unknownShown", this.info.known && byId("scribbles").hidden);
  }

  async #band(doubt = null) {
    const band = await askBand(doubt && `The object may be wrong: ${doubt}. ${SURER}`);
    if (!band && doubt) this.notes.warn("action", `The object may be wrong: ${doubt}.`, SURER);
    if (!band) return;
    this.notes.clear("action");
    await this.#changed(await this.server.band(band));
  }

  // the rest

  #nextView(by) { // over a picture only where there is one
    const names = VIEWS.map(({ name }) => name).filter((name) => name !== "picture" || this.info.background);
    const at = names.indexOf(this.state.get("view"));
    this.state.set("view", names[(at + by + names.length) % names.length]);
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
      this.notes.clear("action");
      this.notes.say(`The trimap is saved: ${file}`);
      byId("paint").focus({ preventScroll: true }); // the keys belong to the picture again
    } catch (error) {
      if (!error.message.includes("exists already")) return this.#fail(error);
      this.mayReplace.add(name);
      this.notes.warn("action", `${error.message}.`, "Save again to replace it, or choose another name.");
    }
    return undefined;
  }

  async #openAnother() {
    try {
      const { id } = await openPicture(byId("open-name").value.trim());
      window.open(`#${id}`, "_blank");
    } catch (error) {
      this.#fail(error);
    }
  }

  #askBackground(setting) { // before a view over it can be seen
    this.state.set("panel", true);
    this.#sayOfBackground("Which picture? Type its name.");
    this.wantsBackground = setting;
    byId("background-file").focus();
  }

  #sayOfBackground(text) {
    byId("background-problem").textContent = text;
    byId("background-file").setAttribute("aria-invalid", String(Boolean(text)));
  }

  async #setBackground() {
    const background = byId("background-file").value.trim();
    if (background === (this.info.background ?? "")) return;
    try {
      Object.assign(this.info, await this.server.settings({ background }));
    } catch (error) { // what was seen stays
      this.#sayOfBackground(`${error.message}. ${error.hint ?? ""}`.trim());
      byId("background-file").value = this.info.background ?? "";
      return;
    }
    this.#sayOfBackground("");
    this.#showBackground();
    if (background) this.state.set(this.wantsBackground ?? "view", "picture");
    this.wantsBackground = undefined;
  }

  #showBackground() { // other windows may have set it
    byId("background-file").value = this.info.background ?? "";
    if (this.info.background) return;
    for (const name of ["view", "splitView"]) if (this.state.get(name) === "picture") this.state.set(name, "checker");
  }

  #troubled(error) {
    this.#showStatus();
    if (!error) return this.notes.clear("server");
    const { waiting, trouble } = this.server;
    const wait = waiting ? ` What was painted since (${waiting}) waits in this window: leave it open.` : "";
    if (trouble === "others") {
      const hint = `Start it again with ${this.info.name}.${wait}`;
      return this.notes.warn("server", "The server has other pictures open.", hint);
    }
    if (trouble === "full") return this.notes.warn("server", `${error.message}.`, `${error.hint}${wait}`);
    const again = trouble === "stranger"
      ? "Open the address that the terminal shows in this browser."
      : `Start it again with the same command. If its address ends with another port, add --port ${location.port}.`;
    const what = trouble === "stranger" ? "was started anew" : "does not answer";
    return this.notes.warn("server", `The server ${what}.`, `${again}${wait}`);
  }

  async #catchUp() {
    Object.assign(this.info, await this.server.info());
    this.#follow();
    this.#showBackground();
    await this.view.dirtyAll();
  }

  #follow() { // whatever the server says of the picture is seen
    this.state.set("automatic", this.info.automatic); // another window may have switched it
    this.#showSteps();
    this.#showUnknown();
    this.#showStatus();
    this.waiting.refresh();
  }

  #told({ id, type, ...event }) {
    const isOld = id <= this.info.event; // the facts that were asked for are newer
    if (type === "tiles") {
      const isKnown = event.layer === "trimap" && event.client === this.server.client; // by the stroke's answer
      if (!isKnown) this.view.dirty(event.layer, event.box);
      if (!isKnown && event.layer === "trimap") this.#trimapChanged();
      if (event.layer === "alpha") this.waiting.refresh();
    } else if (type === "progress" && !isOld) {
      this.info.works = event.works;
      this.#showStatus();
    } else if (type === "state" && !isOld) {
      Object.assign(this.info, event);
      this.#follow();
    } else if (type === "background" && !isOld) {
      this.info.background = event.name;
      this.#showBackground();
    } else if (type === "exported") {
      this.notes.clear("action");
      this.exported = event.files;
      this.#showStatus();
      this.notes.say(`Exported: ${event.files.join(", ")} in ${this.info.output_folder}`);
    } else if (type === "cancelled") {
      this.notes.say("The export was cancelled. No file was written.");
    } else if (type === "changed") {
      const hint = "Nothing is exported until the old file is back. To go on with this one: start with --keep-strokes.";
      this.notes.warn("file", "The picture file changed on disk.", hint);
    } else if (type === "lost") {
      this.#catchUp().catch((error) => this.#fail(error));
    } else if (type === "error") {
      this.#fail(event);
    }
  }
}

async function main() {
  try {
    const pictures = await openPictures();
    const wanted = decodeURIComponent(location.hash.slice(1));
    const found = pictures.find(({ id }, n) => id === wanted || String(n + 1) === wanted);
    const { id } = found ?? pictures[0];
    const studio = new Studio(await new Server(id).info(), pictures);
    await studio.open();
    if (wanted && !found) studio.notes.say("The picture of this address is not open here. This is another one.");
    window.studio = studio; // for whoever looks with the browser's own tools
    document.body.dataset.ready = "true";
  } catch (error) {
    new Notes().warn("page", error.message, error.hint);
    byId("status").textContent = "The picture could not be opened";
    if (!(error instanceof Failure)) console.error(error); // ours
  }
}

main();
