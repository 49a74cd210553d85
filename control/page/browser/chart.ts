/** Lines over the last two minutes: reads and writes. */
import { draw, type History, roundUp } from "../history.js";
import { element, setText } from "./elements.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 40;
const SERIES = ["read", "write"];

/** With a scale it says what its upper edge stands for, and which times its sides do. */
export interface Scale {
  readonly label: string;
  format(value: number): string;
}

/** Draws into the figure, which is empty at first. */
export function drawChart(figure: HTMLElement, history: History, nowMs: number, scale?: Scale): void {
  if (figure.firstElementChild === null) figure.append(...create(scale));
  const peaks = SERIES.map((_, index) => history.peak(index));
  const top = roundUp(Math.max(...peaks));
  figure.classList.toggle("quiet", top === 0);
  for (const [index, series] of SERIES.entries()) {
    // What has only been nothing is not drawn over the base.
    const samples = peaks[index] === 0 ? [] : history.samples;
    const { line, area } = draw(samples, index, nowMs, { width: WIDTH, height: HEIGHT, top });
    element(`.${series} .line`, figure).setAttribute("d", line);
    element(`.${series} .area`, figure).setAttribute("d", area);
  }
  if (scale !== undefined) setText(element(".scale", figure), top === 0 ? "" : scale.format(top));
}

function create(scale: Scale | undefined): Element[] {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  if (scale === undefined) svg.setAttribute("aria-hidden", "true");
  else {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", scale.label);
  }
  for (const series of SERIES) {
    const group = document.createElementNS(SVG, "g");
    group.setAttribute("class", series);
    for (const kind of ["area", "line"]) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", kind);
      group.append(path);
    }
    svg.append(group);
  }
  if (scale === undefined) return [svg];
  const [top, ages] = [document.createElement("span"), document.createElement("div")];
  top.className = "scale";
  ages.className = "ages";
  ages.setAttribute("aria-hidden", "true");
  for (const text of ["2 min ago", "1 min", "now"])
    ages.append(Object.assign(document.createElement("span"), { textContent: text }));
  return [svg, top, ages];
}
