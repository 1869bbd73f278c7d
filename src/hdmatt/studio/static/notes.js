// What the page says: short notes that leave by themselves, and warnings that stay until they are closed or over.
//
// Knows their elements. Notes lie over the picture and let every pointer through; warnings have a row of their own.
//
//     Notes    say, warn, clear

const LEAST = 5000, EACH = 70; // milliseconds that a note stays, and that each letter adds

export class Notes {
  #said = document.getElementById("said");
  #note = document.getElementById("note");
  #message = document.getElementById("note-message");
  #hint = document.getElementById("note-hint");
  #timer = 0;
  #warnings = new Map(); // what it is about -> [message, hint]; the newest is shown

  constructor() {
    document.getElementById("note-close").addEventListener("click", () => {
      this.clear([...this.#warnings.keys()].at(-1));
    });
  }

  say(text) {
    clearTimeout(this.#timer);
    this.#said.textContent = text;
    this.#said.hidden = !text;
    if (text) this.#timer = setTimeout(() => this.say(""), LEAST + EACH * text.length);
  }

  warn(about, message, hint = "") {
    this.#warnings.delete(about);
    this.#warnings.set(about, [message, hint]);
    this.#show();
  }

  clear(about) {
    if (this.#warnings.delete(about)) this.#show();
  }

  #show() {
    const [message, hint] = [...this.#warnings.values()].at(-1) ?? ["", ""];
    this.#note.hidden = !message;
    if (this.#message.textContent !== message) this.#message.textContent = message;
    if (this.#hint.textContent !== hint) this.#hint.textContent = hint;
  }
}
