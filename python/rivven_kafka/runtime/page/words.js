// Numbers and times as people read them, and writing into the document. All that comes from the server is text from
// elsewhere: it only ever becomes textContent or an attribute.

const NONE = "–";
const $ = (id) => document.getElementById(id);

// Words.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const known = (value) => typeof value === "number" && Number.isFinite(value);
const count = (value) => (known(value) ? whole.format(value) : NONE);
const rate = (value) => (known(value) ? (value < 10 ? tenths : whole).format(value) : NONE);
const plural = (n, word) => `${whole.format(n)} ${word}${n === 1 ? "" : "s"}`;

function bytes(value) {
  if (!known(value)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${(unit && value < 99.95 ? tenths : whole).format(value)} ${units[unit]}`;
}

function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 0.9995) return `${seconds < 0.00995 ? tenths.format(seconds * 1000) : whole.format(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${tenths.format(seconds)} s`;
  return long(seconds);
}

function long(seconds) {
  seconds = Math.max(Math.round(seconds), 0);
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).map(([word, size], n) => {
    const value = Math.floor((n ? seconds % parts[first][1] : seconds) / size);
    return n && !value ? "" : `${value} ${word}`;
  }).join(" ").trim();
}

function clock(moment) {
  const today = moment.toDateString() === new Date().toDateString();
  const time = moment.toLocaleTimeString("en-GB");
  return today ? time : `${moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

// Writing only what has changed leaves selections, the focus and screen readers alone.

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function hide(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

function show(node, [icon, look], word) {
  mark(node, "data-look", look);
  mark(node.querySelector("use"), "href", `#i-${icon}`);
  put(node.lastElementChild, word);
}

function announce(text) {
  const before = $("announcer").textContent;
  $("announcer").textContent = before && announce.at > Date.now() - 2000 ? `${before}. ${text}` : text;
  announce.at = Date.now();
}
