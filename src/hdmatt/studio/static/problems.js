// What `hdmatt trimap check` finds, as a list to jump through.
//
// Knows the list's elements; the server and the view only as functions.
//
//     Problems    checked when asked for, and again when the trimap has changed since

const KINDS = {
  all: () => true,
  islands: (name) => name === "islands" || name === "specks",
  pinholes: (name) => name === "pinholes",
};

const OLD = " Painted on since; Check looks again.";

export class Problems {
  #list = document.getElementById("problem-list");
  #count = document.getElementById("problem-count");
  #kind = document.getElementById("problem-kind");
  #found = null;
  #checkedAt = -1; // the trimap's version
  #at = -1;

  // fetch() -> the problems; show(box) looks at one; version() of the trimap
  constructor(fetch, show, version) {
    [this.fetch, this.show, this.version] = [fetch, show, version];
    this.#kind.addEventListener("change", () => { this.#at = -1; this.#fill(); });
  }

  async check() {
    const version = this.version();
    this.#count.textContent = "Checking…";
    try {
      this.#found = await this.fetch();
    } catch (error) {
      this.#count.textContent = "Not checked.";
      throw error;
    }
    this.#checkedAt = version;
    this.#at = -1;
    this.#fill();
  }

  grewOld() { // the trimap has changed
    if (!this.#found || this.#count.textContent.endsWith(OLD)) return;
    this.#count.textContent += OLD;
  }

  async step(by) {
    if (this.#checkedAt !== this.version()) {
      const at = this.#at;
      await this.check();
      this.#at = Math.min(at, this.#chosen().length - 1);
    }
    const places = this.#chosen().length;
    if (!places) return;
    this.#at = this.#at < 0 && by < 0 ? places - 1 : (this.#at + by + places) % places;
    this.#go();
  }

  #chosen() {
    return (this.#found ?? []).filter(({ name, box }) => box && KINDS[this.#kind.value](name));
  }

  #go() {
    const places = this.#chosen(), problem = places[this.#at];
    for (const button of this.#list.querySelectorAll("button")) {
      button.ariaCurrent = String(button.dataset.at === String(this.#at));
    }
    this.#count.textContent = `${this.#at + 1} of ${places.length}: ${problem.title} (${problem.where})`;
    this.show(problem.box);
  }

  #fill() { // a finding once, with its places
    const shown = (this.#found ?? []).filter(({ name }) => KINDS[this.#kind.value](name));
    const findings = [...new Set(shown.map(({ text }) => text))];
    const none = this.#found ? "Nothing found." : "Not checked yet.";
    this.#count.textContent = findings.length ? `${findings.length} found, ${this.#chosen().length} places.` : none;
    this.#list.replaceChildren(...findings.map((text) => this.#row(shown.find((problem) => problem.text === text))));
  }

  #row({ title, severity, text }) {
    const item = document.createElement("li"), strong = document.createElement("strong");
    strong.textContent = `${severity}: ${title}`;
    item.append(strong, ` ${text} `);
    if (this.#chosen().some((problem) => problem.text === text)) item.append("Show place ");
    this.#chosen().forEach((problem, at) => {
      if (problem.text !== text) return;
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: `${at + 1}: ${problem.where}` });
      button.setAttribute("aria-label", `Place ${at + 1}: ${title}, ${problem.where}`);
      button.dataset.at = at;
      button.addEventListener("click", () => { this.#at = at; this.#go(); });
      item.append(button);
    });
    return item;
  }
}
