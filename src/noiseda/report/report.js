"use strict";

// Pictures: two versions under a slider, or all side by side. Zoom and place are shared by all versions of a photograph.

const ZOOMS = [1, 2, 4, 8, 16]; // pixels of the screen, across, for a pixel of the picture
const MOVE = 0.1; // share of the window that an arrow key moves the picture by

function make(kind, attributes = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function button(text, label, action) {
  const made = make("button", { type: "button", "aria-label": label, title: label }, text);
  made.addEventListener("click", action);
  return made;
}

function between(low, value, high) {
  return Math.max(low, Math.min(value, high));
}

class Viewer {
  constructor(article) {
    this.name = article.querySelector("h3").firstChild.textContent;
    this.panes = article.querySelector(".panes");
    this.figures = [...this.panes.children];
    const image = this.figures[0].querySelector("img");
    [this.width, this.height] = ["width", "height"].map((side) => Number(image.getAttribute(side)));
    this.pair = [Number(this.panes.dataset.left), Number(this.panes.dataset.right)];
    this.zoom = null; // as large as the window; else pixels of the page for a pixel of the picture
    this.at = [this.width / 2, this.height / 2]; // what is in the middle of the window
    this.split = 50;
    this.slider = this.figures.length > 1;
    this.build(article);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.stage);
    this.arrange();
  }

  // -- what there is to press --------------------------------------------------------------------

  build(article) {
    this.modes = [
      button("Slider", "compare two under a slider", () => this.compare(true)),
      button("Side by side", "show all side by side", () => this.compare(false)),
    ];
    this.choices = ["left", "right"].map((side, index) => {
      const options = this.figures.map((figure, value) => make("option", { value }, figure.dataset.label));
      const choice = make("select", { "aria-label": `${side} of the slider` }, ...options);
      choice.addEventListener("change", () => {
        this.pair[index] = Number(choice.value);
        this.arrange();
      });
      return choice;
    });
    this.said = make("span", { class: "scale", role: "status" });
    const zooms = make(
      "span",
      { class: "group", role: "group", "aria-label": "zoom" },
      button("−", "zoom out", () => this.step(-1)),
      button("Fit", "as large as there is room", () => this.zoomTo(null)),
      button("1:1", "one pixel of the screen for each of the picture", () => this.zoomTo(this.unit)),
      button("+", "zoom in", () => this.step(1)),
    );
    const modes = make("span", { class: "group", role: "group", "aria-label": "how to compare" }, ...this.modes);
    const whole = button("Full screen", "full screen", () => this.fullScreen());
    this.bar = make("div", { class: "bar" }, ...(this.figures.length > 1 ? [modes, ...this.choices] : []));
    this.bar.append(make("span", { class: "gap" }), this.said, zooms, ...(document.fullscreenEnabled ? [whole] : []));
    this.range = make("input", { class: "split", type: "range", min: 0, max: 100, "aria-label": "place of the slider" });
    this.stage = make("div", { class: "stage", tabindex: 0, role: "group" });
    this.stage.setAttribute("aria-label", `${this.name}: plus and minus zoom, 0 fits, 1 is 1:1, arrows move, f is full screen`);
    this.viewer = make("div", { class: "viewer" }, this.bar, this.stage, this.range);
    this.stage.append(this.panes, make("div", { class: "divider" }));
    article.append(this.viewer);
    for (const figure of this.figures) figure.querySelector(".window").style.aspectRatio = `${this.width} / ${this.height}`;
  }

  // -- what is done ------------------------------------------------------------------------------

  get unit() {
    return Math.max(1, Math.round(devicePixelRatio)) / devicePixelRatio;
  }

  get window() {
    return this.figures[this.slider ? this.pair[1] : 0].querySelector(".window");
  }

  get fit() {
    return Math.min(this.window.clientWidth / this.width, this.window.clientHeight / this.height);
  }

  get scale() {
    return this.zoom ?? this.fit;
  }

  compare(slider) {
    this.slider = slider;
    this.arrange();
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.viewer.requestFullscreen();
  }

  step(direction, place) {
    const zooms = [...ZOOMS.map((times) => times * this.unit), this.fit].sort((a, b) => a - b);
    const further = zooms.filter((zoom) => (direction > 0 ? zoom > this.scale * 1.01 : zoom < this.scale / 1.01));
    if (further.length) this.zoomTo(further.at(direction > 0 ? 0 : -1), place);
  }

  /** Zoom, and keep what is at a place of the window (from its middle, in pixels of the page) where it is. */
  zoomTo(zoom, place = [0, 0]) {
    const before = this.scale;
    this.zoom = zoom !== null && Math.abs(zoom / this.fit - 1) < 0.01 ? null : zoom;
    this.at = this.at.map((middle, axis) => middle + place[axis] / before - place[axis] / this.scale);
    this.draw();
  }

  move(right, down) {
    this.at = [this.at[0] + right / this.scale, this.at[1] + down / this.scale];
    this.draw();
  }

  slide(split) {
    this.split = between(0, split, 100);
    this.draw();
  }

  // -- what is seen ------------------------------------------------------------------------------

  arrange() {
    const [left, right] = this.pair;
    this.modes.forEach((mode, index) => mode.setAttribute("aria-pressed", String(this.slider === (index === 0))));
    this.choices.forEach((choice, index) => {
      choice.value = this.pair[index];
      choice.hidden = !this.slider;
    });
    this.range.hidden = !this.slider;
    this.stage.classList.toggle("slider", this.slider);
    const room = document.fullscreenElement ? "(100vh - 8rem)" : "78vh";
    const widest = this.slider ? `calc(${room} * ${this.width / this.height})` : "none";
    for (const part of [this.stage, this.range]) part.style.maxWidth = widest;
    this.figures.forEach((figure, index) => {
      figure.classList.toggle("left", index === left);
      figure.classList.toggle("right", index === right);
    });
    this.draw();
  }

  draw() {
    const [wide, high] = [this.window.clientWidth, this.window.clientHeight];
    if (!wide) return;
    const scale = this.scale;
    const sides = [this.width, this.height];
    this.at = this.at.map((middle, axis) => {
      const half = [wide, high][axis] / scale / 2; // of the window, in pixels of the picture
      return 2 * half >= sides[axis] ? sides[axis] / 2 : between(half, middle, sides[axis] - half);
    });
    const [x, y] = [wide / 2 - this.at[0] * scale, high / 2 - this.at[1] * scale];
    for (const figure of this.figures) {
      figure.querySelector("img").style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    }
    this.stage.classList.toggle("zoomed", scale > this.fit * 1.01);
    this.stage.classList.toggle("large", scale >= 1.99 * this.unit || this.zoom !== null);
    this.stage.style.setProperty("--split", `${this.split}%`);
    this.range.value = this.split;
    const [left, right] = this.pair.map((index) => this.figures[index].dataset.label);
    this.range.setAttribute("aria-valuetext", `${Math.round(this.split)} % ${left}, the rest ${right}`);
    this.said.textContent = `${Math.round((100 * scale) / this.unit)} %`;
  }

  // -- pointer, wheel, keyboard ------------------------------------------------------------------

  listen() {
    this.range.addEventListener("input", () => this.slide(Number(this.range.value)));
    this.stage.addEventListener("pointerdown", (event) => this.press(event));
    this.stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) this.stage.addEventListener(end, () => (this.held = null));
    this.stage.addEventListener("dblclick", (event) => this.zoomTo(this.zoom === null ? this.unit : null, this.place(event)));
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.viewer.addEventListener("fullscreenchange", () => this.arrange());
  }

  /** Where a pointer is, from the middle of the window it is in. */
  place(event) {
    const box = (event.target.closest(".window") ?? this.window).getBoundingClientRect();
    return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
  }

  press(event) {
    if (event.button !== 0 || !event.target.closest(".window")) return;
    const box = this.window.getBoundingClientRect();
    const near = Math.abs(event.clientX - box.left - (this.split / 100) * box.width) < 24;
    const zoomed = this.stage.classList.contains("zoomed");
    if (!this.slider && !zoomed) return;
    this.held = this.slider && (near || !zoomed) ? "divider" : "picture";
    this.stage.setPointerCapture(event.pointerId);
    this.drag(event);
  }

  drag(event) {
    if (this.held === "picture") this.move(-event.movementX, -event.movementY);
    if (this.held !== "divider") return;
    const box = this.window.getBoundingClientRect();
    this.slide((100 * (event.clientX - box.left)) / box.width);
  }

  wheel(event) {
    const meant = event.ctrlKey || event.metaKey || this.zoom !== null || document.fullscreenElement;
    if (!meant || !event.deltaY) return; // the page scrolls
    event.preventDefault();
    const zoom = this.scale * Math.exp(-between(-60, event.deltaY, 60) / 300);
    const least = Math.min(this.fit, this.unit);
    this.zoomTo(zoom <= least ? (least === this.fit ? null : least) : Math.min(zoom, ZOOMS.at(-1) * this.unit), this.place(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const zoomed = this.stage.classList.contains("zoomed");
    const [across, down] = [MOVE * this.window.clientWidth, MOVE * this.window.clientHeight];
    const actions = {
      "+": () => this.step(1),
      "=": () => this.step(1),
      "-": () => this.step(-1),
      0: () => this.zoomTo(null),
      1: () => this.zoomTo(this.unit),
      f: () => this.fullScreen(),
      ArrowLeft: () => (zoomed ? this.move(-across, 0) : this.slide(this.split - 2)),
      ArrowRight: () => (zoomed ? this.move(across, 0) : this.slide(this.split + 2)),
    };
    if (zoomed) Object.assign(actions, { ArrowUp: () => this.move(0, -down), ArrowDown: () => this.move(0, down) });
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}

// Tables: each header sorts by its column, at first with the largest number, or the first name, on top.

function sortBy(table, head) {
  const heads = [...table.tHead.rows[0].cells];
  const column = heads.indexOf(head);
  const number = head.classList.contains("number");
  const before = head.getAttribute("aria-sort");
  const falling = before === "none" ? number : before === "ascending";
  for (const other of heads) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const value = (row) => (number ? row.cells[column].dataset.value : row.cells[column].textContent);
  const order = (a, b) => (number ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
  const rows = [...table.tBodies[0].rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === "" || b === "") return Number(a === "") - Number(b === ""); // without a figure: at the end
    return falling ? order(b, a) : order(a, b);
  });
  table.tBodies[0].append(...rows);
}

for (const article of document.querySelectorAll(".comparison")) new Viewer(article);
for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.rows[0].cells) head.firstElementChild.addEventListener("click", () => sortBy(table, head));
}
