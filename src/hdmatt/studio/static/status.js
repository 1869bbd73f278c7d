// The line at the bottom: what runs now and how far it is, as a function of one state.
//
// Knows what the server tells of a picture, and whether it answers; nothing of how that is heard. All windows are told
// the same, so all show the same.
//
//     statusOf      the state -> text, progress, whether something can be cancelled
//     StatusLine    shows that

const WHAT = {
  matte: "Matte", refresh: "Looking at the whole picture", export: "Export", picture: "Reading the picture",
  start: "Finding the object", band: "Widening the border",
};
const ASKED = ["export", "start", "band"]; // somebody waits for these, and may cancel them
const COMPUTED = ["matte", "refresh"];
const UNITS = { start: " %", band: " %", refresh: " %", matte: " patches", export: " patches" };
const TROUBLE = {
  lost: "No connection to the server; trying again",
  stranger: "No connection: the server was started anew",
  others: "No connection: the server has other pictures open",
  full: "The disk is full",
};
const QUIET = 250; // milliseconds between two texts of the same work

// trouble: null or "lost", "stranger", "others", "full"; waiting: changes that the server has not answered; the rest as
// the server tells it: works, known, pending, stale, automatic. exported: files since the last stroke, or nothing.
export function statusOf({ trouble, waiting, works, known, pending, stale, automatic, exported }) {
  const idle = { bar: null, cancel: false, spoken: "" };
  if (trouble) {
    const text = TROUBLE[trouble] + (waiting ? `; ${counted(waiting, "change waits", "changes wait")}` : "");
    return { ...idle, text, spoken: TROUBLE[trouble] };
  }
  if (works.length) return ofWorks(works, automatic);
  const how = automatic ? "to be computed (striped)" : "to be computed by Update (R)";
  if (!known) return { ...idle, text: "Nothing is painted yet" };
  if (pending) return { ...idle, text: `${counted(pending, "patch", "patches")} ${how}` };
  if (exported) return { ...idle, text: `Exported: ${exported.join(", ")}` };
  const rest = stale ? "it settles when the pen rests" : "export computes the final matte";
  return { ...idle, text: `Preview; ${rest}` };
}

function ofWorks([first, ...others], automatic) {
  const { what, done, seconds_left: seconds, cancelled } = first, name = WHAT[what] ?? what;
  const of = what === "export" && first.of > 1 ? first.of - 1 : first.of; // the last step of an export: files
  const step = stepOf(what, done, first.of);
  const next = others.filter((work) => ASKED.includes(work.what)).map((work) => `; then: ${nameInside(work.what)}`);
  const left = seconds == null ? "" : `, ${lengthOf(seconds)} left`, unit = UNITS[what] ?? "";
  const counts = unit === " %" ? `${Math.floor(100 * done / of)} %` : `${done} of ${of}${unit}`;
  const far = cancelled ? ": being cancelled…" : step ? `: ${step}…` : of > 1 ? `: ${counts}${left}` : "…";
  return {
    text: name + far + next.join(""),
    spoken: ASKED.includes(what) ? name + (cancelled ? ", being cancelled" : "") : "",
    bar: of > 1 && !step ? { value: Math.min(done, of), max: of } : "unknown",
    // a matte that follows strokes is ended by the next one, or by switching that off
    cancel: (ASKED.includes(what) || (COMPUTED.includes(what) && !automatic)) && !cancelled,
  };
}

function stepOf(what, done, of) { // of an export, before its patches and after them
  if (what !== "export" || of === 1) return "";
  return done === 0 ? "looking at the whole picture" : done >= of - 1 ? "writing the files" : "";
}

function nameInside(what) {
  return (WHAT[what] ?? what).replace(/^./, (letter) => letter.toLowerCase());
}

function counted(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}

export function lengthOf(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

export class StatusLine {
  #text = document.getElementById("status");
  #bar = document.getElementById("progress");
  #cancel = document.getElementById("cancel-work");
  #spoken = document.getElementById("spoken"); // for who listens: what begins, without the numbers
  #state = null; #timer = 0; #shownAt = -QUIET; #kind = "";

  show(state) {
    this.#state = state;
    const kind = `${state.trouble} ${state.works.map(({ what, cancelled }) => what + cancelled)}`;
    const wait = kind === this.#kind ? this.#shownAt + QUIET - performance.now() : 0;
    this.#kind = kind;
    clearTimeout(this.#timer);
    if (wait <= 0) this.#draw();
    else this.#timer = setTimeout(() => this.#draw(), wait); // the last one is never left out
  }

  #draw() {
    this.#shownAt = performance.now();
    const { text, spoken, bar, cancel } = statusOf(this.#state);
    for (const [element, words] of [[this.#text, text], [this.#spoken, spoken]]) {
      if (element.textContent !== words) element.textContent = words;
    }
    this.#text.title = text; // where it is cut
    this.#bar.hidden = !bar;
    if (bar?.max) [this.#bar.max, this.#bar.value] = [bar.max, bar.value];
    else this.#bar.removeAttribute("value");
    this.#cancel.hidden = !cancel;
  }
}
