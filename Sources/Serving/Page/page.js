"use strict";

// Fills holes through /v1/infill and shows each network call as it comes. Nothing is kept but what the server said, so
// that the calls can be walked through forth and back.

const $ = (id) => document.getElementById(id);
const form = $("form"), panels = $("panels"), settings = $("settings"), message = $("message"), popup = $("alternatives");
let model = { fills_holes: true, alpha0: 1, max_model_len: 128 };
let running = null;

function headers() {
  const key = $("key").value.trim();
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

async function failure(reply) {
  let text = `the server answered ${reply.status}`;
  try { text = (await reply.json()).error.message; } catch { /* No JSON: the status must do. */ }
  if (reply.status === 401) { $("key-row").hidden = false; }
  return new Error(text);
}

// MARK: Settings

class Setting {
  constructor(name) {
    this.element = $("setting-template").content.firstElementChild.cloneNode(true);
    this.element.querySelector("legend").textContent = name;
    for (const input of this.element.querySelectorAll("input[type=range]")) {
      const output = input.closest("label").querySelector("output");
      const show = () => { output.textContent = input.value; };
      input.addEventListener("input", show);
      show();
    }
    this.element.querySelector("[name=draw]").addEventListener("click", () => {
      this.field("seed").value = Math.floor(Math.random() * 2 ** 32);
    });
    this.adapt();
  }

  field(name) { return this.element.querySelector(`[name=${name}]`); }

  /** Hides what the model's method does not know. */
  adapt() {
    const hasShare = model.alpha0 !== null;
    for (const label of this.element.querySelectorAll("[data-needs=alpha0]")) { label.hidden = !hasShare; }
    for (const label of this.element.querySelectorAll("[data-needs=steps]")) { label.hidden = !model.fills_holes; }
  }

  get body() {
    const body = {
      model: model.id, template: $("template").value, top_p: Number(this.field("top_p").value),
      seed: Number(this.field("seed").value), logprobs: 5, stream: true,
    };
    if (model.alpha0 !== null) { body.alpha0 = Number(this.field("alpha0").value); }
    if (model.fills_holes) { body.steps = Number(this.field("steps").value); }
    return body;
  }
}

// MARK: Panels

class Panel {
  constructor(name, body) {
    this.body = body;
    this.calls = [];
    this.tokens = [];
    this.element = $("panel-template").content.firstElementChild.cloneNode(true);
    this.element.querySelector("h2").textContent = name;
    this.text = this.element.querySelector(".text");
    this.scrub = this.element.querySelector("[name=scrub]");
    this.scrub.addEventListener("input", () => this.show(Number(this.scrub.value), false));
    this.element.querySelector("[name=copy]").addEventListener("click", (event) => this.copy(event.target));
    this.text.addEventListener("keydown", (event) => this.walk(event));
  }

  say(name, text) { this.element.querySelector(`[data-is=${name}]`).textContent = text; }

  /** Takes one event of the stream. */
  take(event) {
    if (event.error) { throw new Error(event.error.message); }
    switch (event.object) {
      case "infill.start": return this.begin(event.template);
      case "infill.step": return this.step(event);
      case "infill.done": return this.finish(event.choices[0]);
    }
  }

  begin(template) {
    this.tokens = template.map((given) => {
      const span = document.createElement("span");
      span.className = given ? "token given" : "token hole";
      span.textContent = given ? given.text : "\u25A1";
      return { given: given !== null, span, written: null, call: 0 };
    });
    this.text.replaceChildren(...this.tokens.map((token) => token.span));
  }

  step(event) {
    this.calls.push(event);
    for (const written of event.written) {
      const token = this.tokens[written.position];
      token.written = written;
      token.call = this.calls.length;
    }
    this.scrub.max = this.calls.length;
    this.scrub.disabled = false;
    this.show(this.calls.length, true);
    const count = this.tokens.filter((token) => token.written).length;
    this.say("nfe", this.calls.length);
    this.say("speed", event.seconds > 0 ? (count / event.seconds).toFixed(1) : "\u2013");
    this.say("probability", this.sum().toFixed(3));
  }

  sum() { return this.tokens.reduce((sum, token) => sum + (token.written ? token.written.logprob : 0), 0); }

  finish(choice) {
    this.say("nfe", choice.network_calls);
    this.say("probability", choice.model_log_probability.toFixed(3));
    const exact = choice.one_at_a_time_log_probability;
    this.say("exact", exact === null ? "no pass gives it" : exact.toFixed(3));
    this.element.dataset.done = "true";
  }

  /** Shows the text as it was after so many calls. */
  show(calls, isNew) {
    this.scrub.value = calls;
    this.element.querySelector(".scrub output").textContent = `${calls} of ${this.calls.length}`;
    for (const token of this.tokens.filter((token) => !token.given)) {
      const { span, written } = token;
      const isWritten = written !== null && token.call <= calls;
      const appears = isWritten && isNew && token.call === calls;
      span.className = isWritten ? (appears ? "token written new" : "token written") : "token hole";
      span.textContent = isWritten ? written.text || "\u2205" : "\u25A1";
      if (isWritten) {
        span.style.setProperty("--late-share", `${100 * (token.call - 1) / Math.max(1, this.calls.length - 1)}%`);
        span.style.setProperty("--likely-share", `${100 * Math.exp(written.logprob)}%`);
        span.tabIndex = -1;
        span.setAttribute("aria-label", `${written.text}, call ${token.call}, p ${percent(written.logprob)}`);
        span.onmouseenter = span.onfocus = span.onclick = () => showAlternatives(token);
        span.onmouseleave = () => { if (document.activeElement !== span) { popup.hidden = true; } };
        span.onblur = () => { popup.hidden = true; };
      } else {
        span.removeAttribute("tabindex");
        span.removeAttribute("aria-label");
        span.onmouseenter = span.onfocus = span.onclick = span.onmouseleave = span.onblur = null;
      }
    }
    const first = this.text.querySelector(".written");
    if (first) { first.tabIndex = 0; }
  }

  /** Arrow keys go from one written token to the next. */
  walk(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") { popup.hidden = true; }
    if (!step) { return; }
    const all = [...this.text.querySelectorAll(".written")];
    const next = all[all.indexOf(document.activeElement) + step];
    if (!next) { return; }
    event.preventDefault();
    document.activeElement.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  async copy(button) {
    const { stream, ...body } = this.body;
    const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
    const key = $("key").value ? " -H 'Authorization: Bearer KEY'" : "";
    const text = `curl ${location.origin}/v1/infill -H 'Content-Type: application/json'${key} -d '${quoted}'`;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Not every browser lets a page write there: then it can be copied by hand.
      message.textContent = text;
    }
    setTimeout(() => { button.textContent = "Copy as curl"; }, 1500);
  }
}

function percent(logprob) { return `${(100 * Math.exp(logprob)).toFixed(1)} %`; }

function showAlternatives(token) {
  const rows = (token.written.alternatives || []).map((other) => [other.text, other.logprob]);
  if (!rows.some(([, logprob]) => logprob === token.written.logprob)) {
    rows.push([token.written.text, token.written.logprob]);
  }
  const table = document.createElement("table");
  for (const [text, logprob] of rows) {
    const row = table.insertRow();
    if (logprob === token.written.logprob) { row.className = "own"; }
    row.insertCell().textContent = JSON.stringify(text);
    row.insertCell().textContent = percent(logprob);
  }
  const title = document.createElement("div");
  title.textContent = `call ${token.call}`;
  popup.replaceChildren(title, table);
  popup.hidden = false;
  const box = token.span.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - popup.offsetWidth - 8);
  popup.style.left = `${Math.max(8, left) + scrollX}px`;
  popup.style.top = `${box.bottom + scrollY + 6}px`;
}

// MARK: Asking

/** Events of a stream as they come. */
async function* events(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) { return; }
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") { return; }
      yield JSON.parse(data);
    }
  }
}

async function fill() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  message.textContent = "";
  popup.hidden = true;
  const both = allSettings();
  const made = both.map((setting, place) => new Panel(both.length > 1 ? "AB"[place] : "The text", setting.body));
  panels.className = made.length > 1 ? "two" : "";
  panels.replaceChildren(...made.map((panel) => panel.element));
  $("stop").hidden = false;
  try {
    await Promise.all(made.map(async (panel) => {
      const reply = await fetch("/v1/infill", {
        method: "POST", headers: headers(), body: JSON.stringify(panel.body), signal,
      });
      if (!reply.ok) { throw await failure(reply); }
      for await (const event of events(reply)) { panel.take(event); }
    }));
  } catch (error) {
    if (error.name !== "AbortError") { message.textContent = error.message; }
  }
  if (running?.signal === signal) { $("stop").hidden = true; }
}

function allSettings() { return [...settings.children].map((element) => element.setting); }

function addSetting(name) {
  const setting = new Setting(name);
  setting.element.setting = setting;
  settings.append(setting.element);
}

$("compare").addEventListener("change", (event) => {
  const first = settings.firstElementChild;
  if (event.target.checked) {
    addSetting("B");
    const second = settings.lastElementChild.setting;
    for (const name of ["alpha0", "top_p", "seed"]) {
      second.field(name).value = first.setting.field(name).value;
      second.field(name).dispatchEvent(new Event("input"));
    }
    // The same with a step for each token: what does parallel writing cost?
    second.field("steps").value = 64;
    second.field("steps").dispatchEvent(new Event("input"));
  } else {
    settings.lastElementChild.remove();
  }
  first.querySelector("legend").textContent = event.target.checked ? "A" : "How it is written";
  settings.className = event.target.checked ? "two" : "";
});
$("colour").addEventListener("change", (event) => {
  document.body.classList.toggle("by-probability", event.target.value === "probability");
});
$("stop").addEventListener("click", () => running?.abort());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  fill();
});
$("key").addEventListener("change", start);

async function start() {
  try {
    const reply = await fetch("/v1/models", { headers: headers() });
    if (!reply.ok) { throw await failure(reply); }
    model = (await reply.json()).data[0];
    message.textContent = "";
    $("model").textContent = `${model.id}: ${model.method}, texts of at most ${model.max_model_len} tokens`;
    for (const hint of document.querySelectorAll("[data-needs=open]")) { hint.hidden = !model.draws_lengths; }
    if (!$("template").value) { $("template").value = model.example; }
    for (const setting of allSettings()) { setting.adapt(); }
  } catch (error) {
    $("model").textContent = "The model could not be asked for.";
    message.textContent = error.message;
  }
}

addSetting("How it is written");
start();
