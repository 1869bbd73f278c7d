// What is seen: layers of tiles in OpenSeadragon, views made of them, and two views beside each other.
//
// Knows OpenSeadragon, the server's tiles and the settings; nothing of brushes. Places on the screen are pixels of the
// stage, x before y as OpenSeadragon has them; places in the picture are [y, x].
//
//     Versions   which tiles were changed how often
//     Layer      a source of tiles; each tile remembers the version that it shows
//     View       the layers in one viewer; dirty boxes are fetched again without a flicker
//
// A dirty tile stays on the screen until its new bytes are there: `requestInvalidate` raises "tile-invalidated", whose
// handler fetches the tile and hands it over. Hidden layers catch up before they are shown. A view stays on the screen
// until all tiles of the next one are there: layers that are wanted are loaded unseen, then all change at once.

import { MORE_VIEWS, VIEWS } from "./state.js";

const FEEDS = { picture: ["picture", "foreground", "composite"], alpha: ["alpha", "foreground", "composite"] };
const SHARP_FROM = 2; // screen pixels to a picture's pixel, from which on pixels are drawn as squares
const LONGEST = 10000; // milliseconds that a pass over a layer's tiles is waited for
const { Point, Rect, TileSource } = window.OpenSeadragon;

class Versions {
  #tile; #levels; #all = 0; #last = 0;
  #tiles = new Map();

  constructor(tile, levels) {
    this.#tile = tile;
    this.#levels = levels;
  }

  touch([y0, x0, y1, x1]) {
    const version = ++this.#last;
    for (let level = 0, side = this.#tile; level < this.#levels; level++, side *= 2) {
      for (let row = Math.floor(y0 / side); row * side < y1; row++) {
        for (let column = Math.floor(x0 / side); column * side < x1; column++) {
          this.#tiles.set(`${level}/${row}/${column}`, version);
        }
      }
    }
  }

  touchAll() {
    this.#all = ++this.#last;
    this.#tiles.clear();
  }

  of(level, row, column) {
    return this.#tiles.get(`${level}/${row}/${column}`) ?? this.#all;
  }
}

async function decoded(bytes) {
  const bitmap = await createImageBitmap(bytes);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context;
}

class Layer extends TileSource {
  constructor(server, info, name, background, versions) {
    super({ width: info.width, height: info.height, tileSize: info.tile, minLevel: 0, maxLevel: info.levels - 1 });
    Object.assign(this, { server, levels: info.levels, layer: name, background, versions });
  }

  // the server counts levels from the full size, OpenSeadragon from the smallest
  getTileUrl(level, x, y) {
    return `${this.layer}/${this.background ?? ""}/${this.levels - 1 - level}/${y}/${x}`;
  }

  hasTransparency() { // then OpenSeadragon lays tiles edge to edge, not one over the other: no lines between them
    return this.layer === "trimap";
  }

  wanted(tile) {
    return this.versions.of(this.levels - 1 - tile.level, tile.y, tile.x);
  }

  fetch(tile, version, signal) {
    return this.server.tile(this.layer, this.levels - 1 - tile.level, tile.y, tile.x, version, this.background, signal);
  }

  async downloadTileStart(job) {
    const stop = job.userData.stop = new AbortController();
    const version = this.wanted(job.tile);
    try {
      const context = await decoded(await this.fetch(job.tile, version, stop.signal));
      job.tile.shown = version;
      job.finish(context, null, "context2d"); // what it draws: bytes would be converted while the tile is drawn
    } catch (error) {
      job.fail(String(error), null);
    }
  }

  downloadTileAbort(job) {
    job.userData.stop.abort();
  }
}

function rectangle(x0, x1, height) {
  return [[x0, 0], [x1, 0], [x1, height], [x0, height]].map(([x, y]) => ({ x, y }));
}

export class View {
  #viewer; #info; #server; #state; #versions = new Map(); #items = new Map(); #running = new Map(); #stamp = 0;
  #moved = []; // called whenever the picture lies elsewhere on the screen
  #listeners = []; // called when another view is seen, or waited for
  #wanted = new Map(); // names of layers -> where: "left", "right", "both"
  #next = null; // what is seen once all of it is there; null: it is
  #corner = [0, 0]; // of the picture, at the screen's
  #homing = false; // while `home` tells the viewer its size
  #whole = true; // the whole picture is seen, and nothing was moved since
  #window = [window.innerWidth, window.innerHeight];
  shown = { left: "original", right: "original", split: false }; // names of views

  constructor(element, info, server, state) {
    [this.#info, this.#server, this.#state] = [info, server, state];
    this.#viewer = window.OpenSeadragon({
      element, drawer: "canvas", tabIndex: "", mouseNavEnabled: false, keyboardNavEnabled: false,
      showNavigationControl: false, showNavigator: false, animationTime: 0.12, blendTime: 0, immediateRender: true,
      imageLoaderLimit: 4, minZoomImageRatio: 0.5, maxZoomPixelRatio: 40, visibilityRatio: 0.2,
      preserveImageSizeOnResize: true, timeout: 120000, tileRetryMax: 3, tileRetryDelay: 1500,
      subPixelRoundingForTransparency: window.OpenSeadragon.SUBPIXEL_ROUNDING_OCCURRENCES.ALWAYS,
    });
    for (const name of ["picture", "trimap", "alpha", "foreground", "composite", "before"]) {
      this.#versions.set(name, new Versions(info.tile, info.levels));
    }
    this.#viewer.addHandler("tile-invalidated", (event) => this.#renew(event));
    this.#viewer.addHandler("tile-unloaded", (event) => { event.tile.shown = -1; });
    this.#viewer.addHandler("tile-loaded", ({ tile, tiledImage }) => {
      if (tile.shown < tiledImage.source.wanted(tile)) setTimeout(() => this.#catchUp(tiledImage));
    });
    this.#viewer.addHandler("viewport-change", () => this.#follow());
    this.#viewer.addHandler("resize", () => this.#resized());
    this.#viewer.world.addHandler("add-item", ({ item }) => {
      item.addHandler("fully-loaded-change", () => this.#swap());
      this.#follow();
    });
  }

  async open() {
    await this.#item("picture");
    this.home(true);
    this.#state.on(["view", "trimap", "unknownShown", "original", "split", "splitView", "colour"], () => this.#apply());
    this.#state.on(["strength"], () => this.#apply());
    this.#state.on(["splitAt"], () => this.#follow());
  }

  onMoved(listener) {
    this.#moved.push(listener);
  }

  onShown(listener) { // called with the name of a view that is waited for, or null
    this.#listeners.push(listener);
  }

  get width() { return this.#info.width; }
  get height() { return this.#info.height; }

  // places

  toPicture(x, y) {
    const place = this.#base.viewerElementToImageCoordinates(new Point(x, y));
    return [place.y, place.x];
  }

  toScreen(y, x) {
    const place = this.#base.imageToViewerElementCoordinates(new Point(x, y));
    return [place.x, place.y];
  }

  get scale() { // screen pixels to a pixel of the picture
    return this.toScreen(0, 1)[0] - this.toScreen(0, 0)[0];
  }

  pan(dx, dy) {
    this.#whole = false;
    this.#panBy(-dx, -dy);
  }

  #panBy(dx, dy) {
    const viewport = this.#viewer.viewport;
    viewport.panBy(viewport.deltaPointsFromPixels(new Point(dx, dy), true), true);
  }

  zoom(factor, x, y) {
    this.#whole = false;
    const viewport = this.#viewer.viewport;
    viewport.zoomBy(factor, viewport.pointFromPixel(new Point(x, y), true), true);
    viewport.applyConstraints(true);
  }

  zoomAtCentre(factor) {
    const { clientWidth, clientHeight } = this.#viewer.element;
    this.zoom(factor, clientWidth / 2, clientHeight / 2);
  }

  home(immediately = false) {
    const { viewport, element: { clientWidth, clientHeight } } = this.#viewer;
    this.#whole = true;
    this.#homing = true; // not back to where the picture was
    viewport.resize(new Point(clientWidth, clientHeight), true); // what has just come around the stage counts
    this.#homing = false;
    viewport.goHome(immediately);
    if (immediately) this.#follow();
  }

  fullSize() {
    this.zoomAtCentre(1 / (this.scale * window.devicePixelRatio));
  }

  show([y0, x0, y1, x1]) { // with some of what is around it
    this.#whole = false;
    const around = Math.max(120, 0.5 * Math.max(y1 - y0, x1 - x0));
    const box = new Rect(x0 - around, y0 - around, x1 - x0 + 2 * around, y1 - y0 + 2 * around);
    this.#viewer.viewport.fitBounds(this.#base.imageToViewportRectangle(box), true);
  }

  // layers

  // What changed is fetched again. Resolves when it is on the screen; at once for what is hidden.
  async dirty(layer, box) {
    const layers = FEEDS[layer] ?? [layer];
    for (const name of layers) box ? this.#versions.get(name)?.touch(box) : this.#versions.get(name)?.touchAll();
    const isSeen = (item) => layers.includes(item.source?.layer) && (item.getOpacity() > 0 || item.loading);
    const seen = [...this.#items.values()].filter(isSeen);
    await Promise.all(seen.map((item) => this.#catchUp(item)));
  }

  dirtyAll() {
    return Promise.all([...this.#versions.keys()].map((name) => this.dirty(name, null)));
  }

  get settled() { // whether what is on the screen is all there and newest
    const items = [...this.#items.values()];
    return items.every((item) => item.source && (item.getOpacity() === 0 || item.getFullyLoaded()))
      && !this.#running.size && !this.#next;
  }

  get #base() {
    return this.#items.get("picture");
  }

  #item(name) { // "layer" or "layer|background"
    const [layer, background] = name.split("|");
    if (!this.#items.has(name)) {
      this.#items.set(name, { getOpacity: () => 0 }); // until it is there
      return new Promise((done, failed) => this.#viewer.addTiledImage({
        tileSource: new Layer(this.#server, this.#info, layer, background, this.#versions.get(layer)),
        index: layer === "trimap" ? undefined : 0,
        opacity: name === "picture" ? 1 : 0,
        success: ({ item }) => { this.#items.set(name, item); done(item); },
        error: ({ message }) => failed(new Error(message)),
      }));
    }
    return Promise.resolve(this.#items.get(name));
  }

  #namesOf(viewName) {
    const view = [...VIEWS, ...MORE_VIEWS].find(({ name }) => name === viewName);
    const background = view.background === "colour" ? this.#state.get("colour").slice(1) : view.background;
    const names = [background ? `${view.base}|${background}` : view.base];
    const trimap = this.#state.get("unknownShown") ? "trimap" : "trimap|clear";
    return view.trimap || (this.#state.get("trimap") && view.name !== "original") ? [...names, trimap] : names;
  }

  #apply() {
    const split = this.#state.get("split");
    const left = this.#state.get("original") ? "original" : this.#state.get("view");
    const right = split ? this.#state.get("splitView") : left;
    const [ofLeft, ofRight] = [left, right].map((name) => this.#namesOf(name));
    const sideOf = (name) => !ofLeft.includes(name) ? "right" : ofRight.includes(name) ? "both" : "left";
    this.#wanted = new Map([...ofLeft, ...ofRight].map((name) => [name, sideOf(name)]));
    this.#next = { left, right, split };
    for (const name of this.#wanted.keys()) {
      if (this.#items.has(name)) this.#load(this.#items.get(name));
      else this.#item(name).then(() => this.#apply());
    }
    this.#swap();
  }

  #load(item) { // unseen, until all of the view is there
    if (!item.source || item.getOpacity() > 0 || item.loading) return;
    item.loading = true;
    item.setPreload(true);
    item.update(true); // or it would still say that it is there, as all that is hidden does
    this.#catchUp(item).then(() => this.#swap());
  }

  #isThere(name) {
    const item = this.#items.get(name);
    return item.source && (item.getOpacity() > 0 || (item.getFullyLoaded() && !this.#running.has(item)));
  }

  #swap() {
    if (!this.#next) return;
    if ([...this.#wanted.keys()].every((name) => this.#isThere(name))) {
      for (const [name, item] of this.#items) if (item.source) this.#place(item, this.#wanted.get(name));
      [this.shown, this.#next] = [this.#next, null];
      this.#dropOldColours();
      this.#follow();
    }
    const { left, right } = this.#next ?? {};
    for (const listener of this.#listeners) listener(left === this.shown.left ? right : left ?? null);
  }

  #place(item, side) {
    item.loading = false;
    item.side = side;
    item.setPreload(false);
    item.setOpacity(!side ? 0 : item.source.layer === "trimap" ? this.#strength : 1);
  }

  get #strength() {
    return Math.max(0.01, this.#state.get("strength") / 100);
  }

  #dropOldColours() { // one colour's tiles are kept, not those of each that a slider went over
    const others = VIEWS.map(({ background }) => `composite|${background}`);
    for (const [name, item] of this.#items) {
      if (item.source?.layer === "composite" && !this.#wanted.has(name) && !others.includes(name)) {
        this.#items.delete(name);
        this.#viewer.world.removeItem(item);
      }
    }
  }

  #follow() { // what hangs on where the picture lies: the split, the pixels' look, the brush's canvas
    if (!this.#base?.source) return;
    const { width, height } = this.#info;
    const stageWidth = this.#viewer.element.clientWidth;
    const at = this.toPicture(this.#state.get("splitAt") * stageWidth, 0)[1];
    const x = Math.min(width, Math.max(0, at));
    for (const item of this.#items.values()) {
      if (!item.source) continue;
      const part = { left: [0, x], right: [x, width] }[item.side];
      // a polygon and no clip: all of both views is loaded, so that the line can be dragged
      if (part) item.setCroppingPolygons([rectangle(...part, height)]);
      else item.resetCroppingPolygons();
    }
    this.#corner = this.toPicture(0, 0);
    this.#viewer.drawer.setImageSmoothingEnabled(this.scale < SHARP_FROM);
    for (const listener of this.#moved) listener();
  }

  // What is around the stage comes and goes, and the picture stays where it is. In a window of another size all of it
  // is seen again, if it was.
  #resized() {
    if (this.#homing) return;
    const size = [window.innerWidth, window.innerHeight], same = String(size) === String(this.#window);
    const [corner, whole] = [this.#corner, this.#whole];
    this.#window = size;
    queueMicrotask(() => { // once OpenSeadragon has moved it
      if (!this.#base?.source) return;
      if (!same && whole) this.home(true);
      else if (same) this.#panBy(...this.toScreen(...corner));
      this.#follow();
    });
  }

  // One pass at a time for each layer. What was touched while it ran is fetched by the pass after it.
  #catchUp(item) {
    const running = this.#running.get(item);
    if (running) {
      running.again ??= running.done.then(() => this.#catchUp(item));
      return running.again;
    }
    this.#stamp = Math.max(this.#stamp + 1, window.OpenSeadragon.now()); // a stamp that was used is passed over
    const pass = item.requestInvalidate(false, false, this.#stamp);
    const late = new Promise((over) => setTimeout(over, LONGEST)); // a tile may be dropped while it is waited for
    const done = Promise.race([pass, late]).finally(() => {
      this.#running.delete(item);
      this.#swap(); // a view that waits may have waited for this pass alone
    });
    this.#running.set(item, { done });
    return done;
  }

  async #renew(event) {
    const source = event.tiledImage.source, version = source.wanted(event.tile);
    if (event.tile.shown >= version) return;
    const bytes = await source.fetch(event.tile, version).catch(() => null);
    if (!bytes || event.outdated()) return; // the old tile stays; the next event asks again
    const context = await decoded(bytes);
    if (event.outdated()) return;
    await event.setData(context, "context2d");
    event.tile.shown = version;
  }
}
