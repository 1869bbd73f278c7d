// The server's answers: one picture's tiles, strokes and events.
//
// Knows paths and JSON; nothing of elements. Boxes are [y0, x0, y1, x1], half open, in pixels of the picture.
//
//     Failure       what the server refuses: message and hint
//     openPictures  the pictures that can be chosen; openPicture opens one more
//     Server        one picture; changes of the trimap are sent in order and wait while the server is away

const PAUSE = 1000; // milliseconds between two tries
const SILENCE = 40000; // milliseconds without a word, of a server that says every 15 seconds that it is there

export class Failure extends Error {
  constructor(status, message, hint = "") {
    super(message);
    this.status = status; // 0: no answer
    this.hint = hint;
  }
}

async function ask(path, method = "GET", body = undefined) {
  const options = { method, headers: { "X-Status-In-Body": "1" } };
  if (method !== "GET") {
    options.body = JSON.stringify(body ?? {});
    options.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, options).catch(() => {
    throw new Failure(0, "The server did not answer.", "Do it again once it is there.");
  });
  const says = await answer.json().catch(() => ({}));
  const status = answer.ok ? says.refused : answer.status;
  if (!status) return says;
  throw new Failure(status, says.message ?? `The server answers ${status}.`, says.hint ?? "");
}

export function openPictures() {
  return ask("/api/pictures");
}

export function openPicture(path) { // one more, of those that the server may open
  return ask("/api/pictures", "POST", { path });
}

// Why an answer fails to come, or null if it came. The server is away; or was started anew, so that its cookie is
// another one until its new address was opened in this browser; or was started with other pictures; or its disk is
// full. All of these pass, and what was painted waits for that.
function troubleOf(error) {
  if (!(error instanceof Failure) || [0, 502, 503, 504].includes(error.status)) return "lost";
  return { 401: "stranger", 404: "others", 507: "full" }[error.status] ?? null;
}

function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

export class Server {
  #path;
  #last = Promise.resolve();
  #source = null;
  #heard = 0; // when the server last told something
  #event = 0; // the newest event
  trouble = null; // "lost", "stranger", "others" or "full"
  client = crypto.randomUUID();
  waiting = 0; // changes that were not answered yet

  // troubled(error) when `trouble` has changed; null: it is over
  constructor(id, troubled = () => {}) {
    this.#path = `/api/pictures/${encodeURIComponent(id)}`;
    this.troubled = troubled;
  }

  info() { return ask(this.#path); }
  problems() { return ask(`${this.#path}/problems`); }
  settings(values) { return ask(`${this.#path}/settings`, "PUT", values); }
  run() { return ask(`${this.#path}/run`, "POST"); }
  unfinished() { return ask(`${this.#path}/waiting`); }
  cancel() { return ask(`${this.#path}/cancel`, "POST"); } // not after the changes that wait for an answer
  mark() { return ask(`${this.#path}/mark`, "POST"); }
  save(name, overwrite) { return ask(`${this.#path}/save`, "POST", { name, overwrite }); }
  export(values) { return ask(`${this.#path}/export`, "POST", { ...values, client: this.client }); }

  stroke(stroke) { return this.#change("strokes", stroke); }
  undo() { return this.#change("undo", {}); }
  redo() { return this.#change("redo", {}); }
  start(values) { return this.#change("start", values); }
  band(values) { return this.#change("band", values); }

  // `load` differs from one opening of the page to the next: a server that was started anew counts from 0 again
  async tile(layer, level, row, column, version, background, signal) {
    const query = new URLSearchParams({ v: version, load: this.client.slice(0, 8) });
    if (background) query.set("background", background);
    const answer = await fetch(`${this.#path}/tiles/${layer}/${level}/${row}/${column}?${query}`, { signal });
    if (!answer.ok) throw new Failure(answer.status, `tile ${layer} ${level}/${row}/${column}: ${answer.status}`);
    return answer.blob();
  }

  // A change is sent when the one before it was answered, and again until the server is back: nothing painted is lost.
  #change(what, body) {
    this.waiting += 1;
    const sent = this.#last.then(async () => {
      for (;;) {
        try {
          const answer = await ask(`${this.#path}/${what}`, "POST", { ...body, client: this.client });
          this.#troubled(null);
          return answer;
        } catch (error) {
          if (!troubleOf(error)) throw error;
          this.#troubled(error);
          await pause(PAUSE);
        }
      }
    }).finally(() => { this.waiting -= 1; });
    this.#last = sent.catch(() => {});
    return sent;
  }

  #troubled(error) {
    const trouble = error && troubleOf(error);
    if (!trouble && !this.trouble) return;
    this.trouble = trouble;
    this.troubled(error);
  }

  // told(event) for each event after the number `after`; back() when events may have been missed
  listen(after, told, back) {
    let missed = false;
    this.#event = after;
    const open = () => {
      this.#heard = performance.now();
      this.#source = new EventSource(`${this.#path}/events?after=${this.#event}`);
      this.#source.onmessage = (message) => {
        const event = JSON.parse(message.data);
        this.#heard = performance.now();
        this.#event = event.id ?? this.#event;
        told(event);
      };
      this.#source.onopen = () => {
        if (!missed) return;
        missed = false;
        if (this.trouble !== "full") this.#troubled(null);
        back();
      };
      this.#source.onerror = () => {
        missed = true;
        this.info().catch((error) => this.#troubled(error));
        if (this.#source.readyState === EventSource.CLOSED) setTimeout(open, PAUSE);
      };
    };
    open();
    setInterval(() => { // a connection may be cut without a word
      if (performance.now() - this.#heard < SILENCE || this.#source.readyState !== EventSource.OPEN) return;
      this.#source.close();
      missed = true;
      this.#troubled(new Error("the server is silent"));
      open();
    }, SILENCE / 4);
  }
}
