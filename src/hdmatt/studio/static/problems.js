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
    const problem = this.#chosen()[this.#at];
    for (const item of this.#list.children) item.ariaCurrent = String(item.dataset.at === String(this.#at));
    this.#count.textContent = `${this.#at + 1} of ${this.#chosen().length}: ${problem.text}`;
    this.show(problem.box);
  }

  #fill() {
    const everywhere = (this.#found ?? []).filter(({ name, box }) => !box && KINDS[this.#kind.value](name));
    const places = this.#chosen();
    const number = everywhere.length + places.length;
    this.#count.textContent = !this.#found ? "Not checked yet." : number ? `${number} found.` : "Nothing found.";
    this.#list.replaceChildren(...everywhere.map((problem) => row(problem)), ...places.map((problem, at) => {
      const item = row(problem, document.createElement("button"));
      item.dataset.at = at;
      item.firstChild.addEventListener("click", () => { this.#at = at; this.#go(); });
      return item;
    }));
  }
}

function row({ name, severity, text }, inside = document.createElement("span")) {
  const item = document.createElement("li"), strong = document.createElement("strong");
  if (inside.matches("button")) inside.type = "button";
  strong.textContent = `${severity}: ${name.replaceAll("-", " ")}`;
  inside.append(strong, ` ${text}`);
  item.append(inside);
  return item;
}
