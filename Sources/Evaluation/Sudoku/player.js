"use strict";

// Fills puzzles in as the model did: what each network call wrote, and how probable each digit was to it.

const $ = (id) => document.getElementById(id);
const { traces } = JSON.parse($("data").textContent);
let trace = traces[0], step = 0, timer = null;

const side = () => Math.sqrt(trace.puzzle.length);
const box = () => Math.sqrt(side());
const name = (cell) => `row ${Math.floor(cell / side()) + 1}, column ${cell % side() + 1}`;
const percent = (chance) => `${(100 * chance).toFixed(1)} %`;

function cell(tag, text, ...classes) {
  const element = document.createElement(tag);
  element.textContent = text;
  element.classList.add(...classes.filter(Boolean));
  return element;
}

function showGrid(written, current) {
  const rows = [];
  for (let row = 0; row < side(); row++) {
    const line = document.createElement("tr");
    for (let column = 0; column < side(); column++) {
      const place = row * side() + column, digit = written[place];
      const own = trace.puzzle[place] !== 0;
      line.append(cell("td", digit || "", own ? "clue" : digit && "written",
        digit && digit !== trace.solution[place] && "wrong", current.includes(place) && "current",
        column % box() === box() - 1 && column < side() - 1 && "right-edge",
        row % box() === box() - 1 && row < side() - 1 && "bottom-edge"));
    }
    rows.push(line);
  }
  $("grid").replaceChildren(...rows);
}

function showChances(call) {
  const rows = [];
  call?.cells.forEach((place, index) => {
    const head = document.createElement("tr");
    const title = cell("th", name(place));
    title.colSpan = 3;
    head.append(title);
    rows.push(head);
    call.chances[index]?.forEach((chance, digit) => {
      const line = document.createElement("tr");
      if (digit + 1 === call.digits[index]) { line.classList.add("chosen"); }
      const bar = cell("td", "", "bar"), fill = document.createElement("span");
      fill.style.width = `${8 * chance}rem`;
      bar.append(fill);
      line.append(cell("th", digit + 1), bar, cell("td", percent(chance)));
      rows.push(line);
    });
  });
  $("chances").replaceChildren(...rows);
}

function show() {
  const written = [...trace.puzzle];
  for (const call of trace.steps.slice(0, step)) { call.cells.forEach((place, index) => { written[place] = call.digits[index]; }); }
  const call = step > 0 ? trace.steps[step - 1] : null;
  showGrid(written, call?.cells ?? []);
  showChances(call);
  $("step").max = trace.steps.length;
  $("step").value = step;
  const wrong = written.filter((digit, place) => digit && digit !== trace.solution[place]).length;
  const said = (call?.cells ?? []).map((place, index) =>
    `${name(place)} is ${call.digits[index]} (${percent(call.chances[index]?.[call.digits[index] - 1] ?? 0)})`);
  $("status").textContent = call
    ? `Call ${step} of ${trace.steps.length}: ${said.join("; ")}.${wrong ? ` ${wrong} wrong so far.` : ""}`
    : `The puzzle: ${trace.puzzle.filter(Boolean).length} clues.`;
}

function go(to) { step = Math.max(0, Math.min(trace.steps.length, to)); show(); }

function stop() { clearInterval(timer); timer = null; $("play").textContent = "Play"; }

function play() {
  if (timer) { return stop(); }
  if (step === trace.steps.length) { go(0); }
  $("play").textContent = "Pause";
  timer = setInterval(() => { go(step + 1); if (step === trace.steps.length) { stop(); } }, 600);
}

function choose(index) {
  stop();
  const place = (index + traces.length) % traces.length;
  trace = traces[place];
  $("trace").value = place;
  go(0);
}

traces.forEach((one, index) => {
  const last = [...one.puzzle];
  for (const call of one.steps) { call.cells.forEach((place, number) => { last[place] = call.digits[number]; }); }
  const right = last.every((digit, place) => digit === one.solution[place]);
  const text = `${index + 1}. ${one.plan}, ${one.puzzle.filter(Boolean).length} clues: ${right ? "solved" : "not solved"}`;
  $("trace").append(new Option(text, index));
});
$("trace").addEventListener("change", () => choose(Number($("trace").value)));
$("step").addEventListener("input", () => { stop(); go(Number($("step").value)); });
for (const [id, action] of Object.entries({
  first: () => go(0), back: () => go(step - 1), next: () => go(step + 1), last: () => go(trace.steps.length),
})) { $(id).addEventListener("click", () => { stop(); action(); }); }
$("play").addEventListener("click", play);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches?.("select")) { return; }
  const actions = {
    ArrowLeft: () => go(step - 1), ArrowRight: () => go(step + 1), Home: () => go(0), End: () => go(trace.steps.length),
    ArrowUp: () => choose(traces.indexOf(trace) - 1), ArrowDown: () => choose(traces.indexOf(trace) + 1), " ": play,
  };
  const action = actions[event.key];
  if (!action || (event.key === " " && event.target.matches?.("button"))) { return; }
  event.preventDefault();
  if (event.key !== " ") { stop(); }
  action();
});
if (trace) { $("player").hidden = false; choose(0); }
