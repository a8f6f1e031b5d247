// The process: where the figures come from, what is shown of them, and what connectors are told.

const SILENT_MS = 4000; // after that the figures count as old
const POLL_MS = 2000;
const HIDDEN_POLL_MS = 5000; // so that the curve has no hole
const LISTEN_AGAIN_MS = 30000; // after /events has refused

let control = false;
let process = "";
let cards = new Map();
const filter = () => $("filter").value.trim().toLowerCase();

function take(report) {
  const now = report.uptime_seconds;
  const sinceMs = new Date(report.started).getTime() + now * 1000;
  const id = `${report.pid} ${report.started}`;
  if (process && process !== id) {
    announce("The process was started again");
    for (const card of cards.values()) card.history = [];
  }
  process = id;
  control = report.control === true;
  const good = report.status === "healthy";
  if ($("health").lastElementChild.textContent !== report.status) announce(`The process is ${report.status}`);
  show($("health"), good ? ["good", "good"] : ["bad", "bad"], report.status);
  put(document.querySelector("title"), `${good ? "" : "(!) "}${report.status} - rivven-kafka`);
  put($("process"), `${report.version} · up ${long(now)} · process ${report.pid}`);
  put($("control"), control ? (token ? "The token is known" : "")
    : "No buttons here: they need settings.control.token");
  const next = new Map();
  for (const direction of ["source", "sink"]) {
    for (const each of report[`${direction}s`] || []) {
      const key = `${direction} ${each.name}`;
      const card = cards.get(key) || new Card(direction, each.name);
      next.set(key, card);
      if (!card.node.isConnected) $("cards").append(card.node);
      card.take(each, now, sinceMs);
    }
  }
  for (const [key, card] of cards) if (!next.has(key)) card.node.remove();
  cards = next;
  sift();
}

function sift() {
  const words = filter();
  let shown = 0;
  for (const card of cards.values()) {
    const fits = !words || card.title.toLowerCase().includes(words) || card.partitions().length > 0;
    hide(card.node, !fits);
    shown += fits;
  }
  put($("shown"), words ? `${shown} of ${plural(cards.size, "connector")}` : plural(cards.size, "connector"));
  hide($("nothing"), shown > 0);
  put($("nothing"), cards.size ? "No connector and no topic is called so." : "There are no connectors.");
}

$("filter").addEventListener("input", () => {
  sift();
  for (const card of cards.values()) {
    if (card.report) put(card.parts.summary, card.summary(card.report));
    card.table();
  }
});
$("tools").addEventListener("submit", (event) => event.preventDefault());

// Telling connectors something.

let token = "";
let asked = null;

async function send(card, action) {
  const path = `connectors/${encodeURIComponent(card.name)}/${action}`;
  let answer;
  try {
    const headers = { Authorization: `Bearer ${token}` };
    answer = await fetch(path, { method: "POST", headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10000) });
  } catch (error) {
    return [0, error instanceof TypeError && /[^\x21-\x7e]/.test(token) ? "that is no token" : "no answer"];
  }
  const body = await answer.json().catch(() => ({}));
  return [answer.status, typeof body.error === "string" ? body.error : answer.statusText];
}

async function tell(card, action) {
  if (!token) return ask(card, action, "");
  const [status, error] = await send(card, action);
  if (status === 401 || status === 403) {
    keep("");
    return ask(card, action, `Refused (${status}): ${error}.`);
  }
  report(card, action, status, error);
}

function report(card, action, status, error) {
  if (status === 202) {
    const both = [...cards.values()].filter((each) => each.name === card.name).length > 1;
    card.answer(`Told to ${action}${both ? ", source and sink of this name" : ""}.`, "");
  } else {
    card.answer(`Could not ${action}${status ? ` (${status})` : ""}: ${error}.`, "bad");
  }
}

function keep(text) {
  token = text;
  hide($("forget"), !token);
  put($("control"), token ? "The token is known" : "");
}

function ask(card, action, problem) {
  asked = { card, action };
  const word = action[0].toUpperCase() + action.slice(1);
  put($("ask-title"), `${word} ${card.title}`);
  put($("ask-go"), word);
  $("token").value = "";
  $("ask-problem").textContent = problem;
  $("ask").showModal();
  $("token").focus();
}

$("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { card, action } = asked;
  token = $("token").value.trim();
  const [status, error] = await send(card, action);
  if (status === 0 || status === 401 || status === 403) {
    keep("");
    $("ask-problem").textContent = `${status ? `Refused (${status})` : "Not sent"}: ${error}.`;
    $("token").select();
    return;
  }
  keep(token);
  $("ask").close();
  report(card, action, status, error);
});
$("ask-cancel").addEventListener("click", () => $("ask").close());
// Nothing of it stays in the document.
$("ask").addEventListener("close", () => { $("token").value = ""; });
$("forget").addEventListener("click", () => {
  keep("");
  announce("The token is forgotten");
  $("filter").focus();
});

// Listening, or asking where that does not work.

let source = null;
let heard = 0;
let listenAt = 0;
let asking = false;

function link(text, look) {
  put($("link"), text);
  mark($("link"), "data-look", look);
  document.body.classList.toggle("old", look === "bad");
}

function hear(text, how) {
  take(JSON.parse(text));
  heard = Date.now();
  link(how, "good");
}

function listen() {
  source = new EventSource("events");
  source.onmessage = (event) => hear(event.data, "Live");
  source.onerror = () => {
    if (source?.readyState === EventSource.CLOSED) unlisten(LISTEN_AGAIN_MS);
  };
}

function unlisten(pauseMs) {
  source.close();
  source = null;
  listenAt = Date.now() + pauseMs;
}

async function poll() {
  asking = true;
  try {
    const answer = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(SILENT_MS) });
    if (!answer.ok) throw new Error(answer.statusText);
    // Nobody sees it, but a screen reader may speak of a change.
    hear(await answer.text(), document.hidden ? "Live" : "Asking every 2 seconds");
  } catch {
    if (Date.now() - heard > SILENT_MS) {
      link(heard ? `No answer since ${clock(new Date(heard))}` : "No answer", "bad");
    }
  }
  asking = false;
}

setInterval(() => {
  const silence = Date.now() - heard;
  // It goes on by itself, but not every browser after every error.
  if (source && silence > SILENT_MS) unlisten(0);
  if (!source && !document.hidden && Date.now() >= listenAt && silence <= SILENT_MS) listen();
  if (!source && !asking && silence >= (document.hidden ? HIDDEN_POLL_MS : POLL_MS) - 100) poll();
}, 1000);

// Browsers open six connections to one place: a seventh tab would find none left.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && source) unlisten(0);
  else if (!document.hidden && !source && Date.now() >= listenAt) listen();
});

heard = Date.now();
if (document.hidden) poll();
else listen();
