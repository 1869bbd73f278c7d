// The server's answers: one picture's tiles, strokes and events.
//
// Knows paths and JSON; nothing of elements. Boxes are [y0, x0, y1, x1], half open, in pixels of the picture.
//
//     Failure       what the server refuses: message and hint
//     openPictures  the pictures that can be chosen; openPicture opens one more
//     Server        one picture; changes of the trimap are sent in order and wait while the server is away

const PAUSE = 1000; // milliseconds between two tries

export class Failure extends Error {
  constructor(status, message, hint = "") {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

async function ask(path, method = "GET", body = undefined) {
  const options = { method, headers: {} };
  if (method !== "GET") {
    options.body = JSON.stringify(body ?? {});
    options.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, options);
  if (answer.ok) return answer.json();
  const says = await answer.json().catch(() => ({}));
  throw new Failure(answer.status, says.message ?? `The server answers ${answer.status}.`, says.hint ?? "");
}

export function openPictures() {
  return ask("/api/pictures");
}

export function openPicture(path) { // one more, of those that the server may open
  return ask("/api/pictures", "POST", { path });
}

// Away; or started anew, so that its cookie is another one until its new address was opened in this browser; or started
// with other pictures; or its disk is full. All of these pass, and what was painted waits for that.
function isAway(error) {
  return !(error instanceof Failure) || [401, 404, 502, 503, 504, 507].includes(error.status);
}

function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

export class Server {
  #path;
  #last = Promise.resolve();
  #source = null;
  client = crypto.randomUUID();
  waiting = 0; // changes that were not answered yet

  // away(true) when an answer fails to come, away(false) when one came again
  constructor(id, away) {
    this.#path = `/api/pictures/${encodeURIComponent(id)}`;
    this.away = away;
  }

  info() { return ask(this.#path); }
  problems() { return ask(`${this.#path}/problems`); }
  settings(values) { return ask(`${this.#path}/settings`, "PUT", values); }
  run() { return ask(`${this.#path}/run`, "POST"); }
  unfinished() { return ask(`${this.#path}/waiting`); }
  cancel() { return ask(`${this.#path}/cancel`, "POST"); } // not after the changes that wait for an answer
  mark() { return ask(`${this.#path}/mark`, "POST"); }
  save(name, overwrite) { return ask(`${this.#path}/save`, "POST", { name, overwrite }); }
  export(values) { return ask(`${this.#path}/export`, "POST", values); }

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
      for (let first = true; ; first = false) {
        try {
          const answer = await ask(`${this.#path}/${what}`, "POST", { ...body, client: this.client });
          if (!first) this.away(false);
          return answer;
        } catch (error) {
          if (!isAway(error)) throw error;
          this.away(true, error);
          await pause(PAUSE);
        }
      }
    }).finally(() => { this.waiting -= 1; });
    this.#last = sent.catch(() => {});
    return sent;
  }

  // told(event) for each event; back() when events may have been missed
  listen(told, back) {
    let missed = false;
    const open = () => {
      this.#source = new EventSource(`${this.#path}/events`);
      this.#source.onmessage = (message) => told(JSON.parse(message.data));
      this.#source.onopen = () => {
        if (missed) { missed = false; this.away(false); back(); }
      };
      this.#source.onerror = () => {
        missed = true;
        this.info().catch((error) => this.away(true, error));
        if (this.#source.readyState === EventSource.CLOSED) setTimeout(open, PAUSE);
      };
    };
    open();
  }
}
