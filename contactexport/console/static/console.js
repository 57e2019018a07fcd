// The pages work without this file. It opens plots, and asks before what cannot be undone.
"use strict";

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !window.confirm(question)) {
    event.preventDefault();
  }
});

// A second click sends nothing. The button is disabled after the form is read, because its own name and address count.
document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented && event.target.method === "post") {
    setTimeout(() => setButtons(event.target, true));
  }
});

// A page that the browser shows again by "back" is as it was left.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    document.querySelectorAll("form").forEach((form) => setButtons(form, false));
  }
});

function setButtons(form, disabled) {
  for (const button of form.querySelectorAll("button")) {
    button.disabled = disabled;
  }
}

// A form with this attribute is sent as soon as a list in it is changed.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-sent-at-once]");
  if (form && event.target.matches("select")) {
    form.requestSubmit();
  }
});

// Nobody looks at a hidden page, so its parts wait.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) {
    event.preventDefault();
  }
});

// Plots of the numbers that the table beside them has. Without uPlot the table is all there is.
const COLOURS = ["--good", "--bad", "--running", "--warn"];

function drawPlot(element) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const names = JSON.parse(element.dataset.names);
  const values = JSON.parse(element.dataset.values);
  const bars = element.dataset.plot !== "times";
  const order = element.dataset.plot === "rows" ? ["--running"] : bars ? COLOURS : ["--running", "--warn", "--good", "--bad"];
  let drawn = values;
  if (element.dataset.plot === "ended") {
    // Errors stand on top of what is done. uPlot draws the taller bars first.
    drawn = [values[0], values[1].map((done, index) => done + values[2][index]), values[1]];
  }
  const shown = element.dataset.plot === "ended" ? [names[1], names[0]] : names;
  const colours = element.dataset.plot === "ended" ? ["--bad", "--good"] : order;
  const { zone, part } = element.closest(".plots").dataset;
  const asTime = Intl.DateTimeFormat("en-GB", part === "hour" ? { timeZone: zone, hour: "2-digit", minute: "2-digit" } : { timeZone: zone, day: "numeric", month: "short" });
  const times = (plot, ticks) => ticks.map((tick) => asTime.format(tick * 1000));
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const step = values[0].length > 1 ? values[0][1] - values[0][0] : 3600;
  const options = {
    width: element.clientWidth,
    height: 180,
    cursor: { drag: { x: false, y: false } },
    scales: { x: { range: (plot, low, high) => (bars ? [low - step / 2, high + step / 2] : [low, high]) }, y: { range: (plot, low, high) => [0, Math.max(high || 0, 1) * 1.05] } },
    axes: [{ ...axis, values: times, space: 64 }, { ...axis, size: 56, values: (plot, ticks) => ticks.map((tick) => Intl.NumberFormat("en", { notation: "compact" }).format(tick)) }],
    series: [
      { label: "From", value: (plot, time) => (time === null ? "–" : asTime.format(time * 1000)) },
      ...shown.map((name, index) => ({
        label: name,
        stroke: colour(colours[index]),
        width: bars ? 0 : 2,
        fill: bars ? colour(colours[index]) : undefined,
        dash: !bars && index % 2 === 1 ? [4, 4] : undefined,
        paths: bars ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
        points: { show: !bars && values[0].length < 40, size: 4 },
        value: (plot, value, series, at) => {
          const number = at === null || at === undefined ? null : values[names.indexOf(name) + 1][at];
          return number === null || number === undefined ? "–" : Intl.NumberFormat("en").format(number);
        },
      })),
    ],
  };
  element.replaceChildren();
  return new uPlot(options, drawn, element);
}

function drawPlots() {
  const holder = document.querySelector(".plots");
  if (!holder || !window.uPlot) {
    return;
  }
  holder.hidden = false;
  for (const element of holder.querySelectorAll(".plot")) {
    drawPlot(element);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  drawPlots();
  const figures = document.querySelector(".figures");
  if (figures && window.uPlot) {
    figures.open = false;
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlots);
  let waiting;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawPlots, 150);
  });
});
