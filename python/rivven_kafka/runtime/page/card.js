// A connector: its figures, its curve, its troubles, its buttons and the table of its partitions.

const HISTORY_S = 300; // what the curve shows
const RATE_S = 5; // what a rate is taken over: acknowledgements come in bursts
const ANSWER_MS = 15000; // how long the answer to a button stays

// Icon, and how it looks: good, calm, warn, bad or idle.
const STATES = {
  starting: ["starting", "idle"], running: ["good", "good"], paused: ["paused", "calm"], waiting: ["waiting", "warn"],
  restarting: ["again", "warn"], stopping: ["waiting", "idle"], stopped: ["stopped", "idle"], failed: ["bad", "bad"],
};
const COLUMNS = [
  ["Topic", "topic"], ["Partition", "partition"], ["Position", "position"], ["End", "end"], ["Lag", "records"],
  ["Lag, time", "seconds"],
];

class Card {
  constructor(direction, name) {
    this.title = `${direction} ${name}`;
    this.name = name;
    this.node = $("card").content.firstElementChild.cloneNode(true);
    this.parts = {};
    for (const node of this.node.querySelectorAll("[data-is]")) this.parts[node.dataset.is] = node;
    const { parts } = this;
    this.node.dataset.connector = this.title;
    put(parts.name, name);
    parts.name.id = `c${(Card.made = (Card.made || 0) + 1)}`;
    this.node.setAttribute("aria-labelledby", parts.name.id);
    put(parts.route, direction === "source" ? "Source: Kafka → Rivven" : "Sink: Rivven → Kafka");
    parts.scroll.setAttribute("aria-label", `Partitions of ${this.title}`);
    parts.pause.addEventListener("click", () => tell(this, parts.pause.dataset.action));
    parts.restart.addEventListener("click", () => tell(this, "restart"));
    parts.details.addEventListener("toggle", () => this.table());
    put(parts.restart, "Restart");
    parts.restart.setAttribute("aria-label", `Restart ${this.title}`);
    this.history = [];
    this.rows = new Map();
    this.sort = ["topic", 1];
    this.head();
  }

  take(report, now, sinceMs) {
    const { parts } = this;
    const before = this.report;
    this.report = report;
    const stalled = report.stalled || [];
    const [icon, look] = STATES[report.status] || ["starting", "idle"];
    const troubled = report.status === "restarting" || report.status === "failed";
    const state = stalled.length ? `${report.status}, ${stalled.length} stalled` : report.status;
    show(parts.state, stalled.length ? ["bad", "bad"] : [icon, look], state);
    mark(this.node, "data-look", stalled.length ? "bad" : look);
    if (before && this.said !== state) announce(`${this.title}: ${state}`);
    this.said = state;
    const since = new Date(report.since);
    put(parts.since, `since ${clock(since)} (${long((sinceMs - since) / 1000)})`);
    const reason = this.reason(report, sinceMs);
    hide(parts.reason, !reason);
    put(parts.reason, reason);
    this.measure(report, now);
    this.complain(report, stalled, troubled);
    this.buttons(report);
    hide(parts.details, !report.lag?.partitions?.length);
    put(parts.summary, this.summary(report));
    this.table();
  }

  reason(report, sinceMs) {
    const words = [];
    if (report.waiting_for) words.push(`Waits: ${report.waiting_for}`);
    if (report.next_restart) {
      words.push(`Next start in ${long(Math.max(new Date(report.next_restart) - sinceMs, 0) / 1000)}`);
    }
    if (report.paused && report.status !== "paused") words.push("Paused as soon as it runs");
    return words.join(". ");
  }

  measure(report, now) {
    const { parts } = this;
    const metrics = report.metrics || {};
    const sample = { t: now, n: report.events_processed, b: metrics.bytes_consumed ?? metrics.bytes_produced };
    const last = this.history.at(-1);
    // Counters that went back are those of another process.
    if (last && (sample.n < last.n || sample.t < last.t)) this.history = [];
    this.history.push(sample);
    while (this.history[0].t < now - HISTORY_S - RATE_S) this.history.shift();
    const [records, size] = [this.since(this.history.length - 1, "n"), this.since(this.history.length - 1, "b")];
    put(parts.rate, rate(report.rate ? report.rate.records_per_second : records));
    put(parts.bytes, `${bytes(report.rate ? report.rate.bytes_per_second : size)}${known(size) || report.rate ? "/s" : ""}`);
    const lag = report.lag || { total: null, partitions: [] };
    // What is not known is left out of the total, which then says less than there is.
    const dark = lag.partitions.filter((each) => !known(each.records)).length;
    const part = dark && known(lag.total);
    put(parts.lag, `${part ? "≥ " : ""}${count(lag.total)}`);
    put(parts["lag-part"], part ? `at least: ${plural(dark, "partition")} not known` : "");
    mark(parts.lag.parentElement, "title", part ? `Not known: ${plural(dark, "partition")} of ${whole.format(lag.partitions.length)}` : "");
    const oldest = Math.max(...lag.partitions.map((each) => (known(each.seconds) ? each.seconds : 0)), 0);
    put(parts["lag-time"], report.caught_up ? "caught up" : oldest > 0 ? `${duration(oldest)} behind` : "");
    put(parts.p50, duration(report.latency?.p50_seconds));
    put(parts.p99, duration(report.latency?.p99_seconds));
    put(parts.events, count(report.events_processed));
    put(parts.restarts, count(report.restarts));
    put(parts.errors, count(report.errors_count));
    hide(parts.progress.parentElement, !("last_progress" in report));
    put(parts.progress, report.last_progress ? clock(new Date(report.last_progress)) : NONE);
    // Counts by reason. Where there are none, nobody wants to read of it.
    for (const [part, reasons] of [["letters", report.dead_letters], ["skipped", report.skipped]]) {
      const sum = Object.values(reasons || {}).reduce((all, each) => all + each, 0);
      hide(parts[part].parentElement, !sum);
      put(parts[part], count(sum));
    }
    this.draw(now);
  }

  // What came per second, in the seconds before a sample; null while there is nothing to compare with.
  since(index, field) {
    const end = this.history[index];
    let start = index;
    while (start > 0 && this.history[start].t > end.t - RATE_S) start -= 1;
    const begin = this.history[start];
    return end.t > begin.t && known(end[field]) && known(begin[field]) ? (end[field] - begin[field]) / (end.t - begin.t) : null;
  }

  draw(now) {
    const points = this.history.map((sample, index) => [sample.t, this.since(index, "n")])
      .filter(([t, value]) => value !== null && t >= now - HISTORY_S);
    const peak = Math.max(...points.map(([, value]) => value), 0);
    // The first moments of a curve would fill its height with next to nothing.
    const top = Math.max(peak, 1);
    const line = points.map(([t, value], n) =>
      `${n ? "L" : "M"}${(300 * (1 - (now - t) / HISTORY_S)).toFixed(1)} ${(43 - (41 * value) / top).toFixed(1)}`).join("");
    const [area, curve] = this.parts.spark.children;
    mark(curve, "d", line || "M0 43");
    mark(area, "d", line ? `${line}V44H${(300 * (1 - (now - points[0][0]) / HISTORY_S)).toFixed(1)}Z` : "M0 44");
    put(this.parts.peak, `peak ${rate(peak)}/s`);
    mark(this.parts.spark, "aria-label", `Records per second in the last 5 minutes, at most ${rate(peak)}`);
  }

  complain(report, stalled, troubled) {
    const { parts } = this;
    hide(parts.stalled, !stalled.length);
    put(parts["stalled-title"], `${plural(stalled.length, "partition")} stalled`);
    const lines = stalled.slice(0, 20).map((each) =>
      `${each.topic}:${each.partition} at ${count(each.position)} of ${count(each.end)} since ${clock(new Date(each.since))}: ${each.reason}`);
    if (stalled.length > 20) lines.push(`and ${stalled.length - 20} more`);
    const list = parts["stalled-list"];
    while (list.children.length > lines.length) list.lastElementChild.remove();
    lines.forEach((text, n) => put(list.children[n] || list.appendChild(document.createElement("li")), text));
    hide(parts.error, !report.last_error);
    mark(parts.error, "data-look", troubled || stalled.length ? "bad" : "idle");
    put(parts["error-text"], report.last_error || "");
  }

  buttons(report) {
    const { parts } = this;
    hide(parts.buttons, !control);
    const ended = report.status === "stopped" || report.status === "failed";
    const action = report.paused ? "resume" : "pause";
    const word = report.paused ? "Resume" : "Pause";
    hide(parts.pause, ended);
    parts.pause.dataset.action = action;
    put(parts.pause, word);
    mark(parts.pause, "aria-label", `${word} ${this.title}`);
    if (this.answered && Date.now() > this.answered + ANSWER_MS) this.answer("", "");
  }

  answer(text, look) {
    put(this.parts.answer, text);
    mark(this.parts.answer, "data-look", look);
    this.answered = text ? Date.now() : 0;
  }

  // The table. Only an open one is filled.

  head() {
    COLUMNS.forEach(([word, field], n) => {
      const cell = document.createElement("th");
      const button = document.createElement("button");
      cell.scope = "col";
      button.type = "button";
      button.textContent = word;
      if (n === 0) cell.className = button.className = "text";
      button.addEventListener("click", () => {
        const first = field === "topic" || field === "partition" ? 1 : -1;
        this.sort = [field, this.sort[0] === field ? -this.sort[1] : first];
        this.table();
      });
      cell.append(button);
      this.parts.head.append(cell);
    });
  }

  partitions() {
    const all = this.report?.lag?.partitions || [];
    const words = filter();
    return !words || this.title.toLowerCase().includes(words) ? all
      : all.filter((each) => `${each.topic}:${each.partition}`.toLowerCase().includes(words));
  }

  summary(report) {
    const all = report.lag?.partitions || [];
    const some = this.partitions().length;
    const text = some < all.length ? `${whole.format(some)} of ${plural(all.length, "partition")}` : plural(all.length, "partition");
    const behind = all.filter((each) => each.records > 0).length;
    return behind ? `${text}, ${whole.format(behind)} behind` : text;
  }

  table() {
    const { parts } = this;
    if (!parts.details.open) return;
    const [field, order] = this.sort;
    COLUMNS.forEach(([, each], n) => {
      const cell = parts.head.children[n];
      if (each === field) mark(cell, "aria-sort", order > 0 ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
    const bad = new Set((this.report.stalled || []).map((each) => `${each.topic}:${each.partition}`));
    const place = (a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition);
    const list = [...this.partitions()].sort((a, b) => {
      if (field === "topic") return order * place(a, b);
      return order * ((a[field] ?? -1) - (b[field] ?? -1)) || place(a, b);
    });
    const rows = new Map();
    for (const each of list) {
      const key = `${each.topic}:${each.partition}`;
      const row = this.rows.get(key) || newRow();
      const texts = [each.topic, String(each.partition), count(each.position), count(each.end), count(each.records),
        duration(each.seconds)];
      texts.forEach((text, n) => put(row.children[n], text));
      mark(row, "data-look", bad.has(key) ? "bad" : "");
      rows.set(key, row);
    }
    for (const [key, row] of this.rows) if (!rows.has(key)) row.remove();
    let next = parts.rows.firstElementChild;
    for (const row of rows.values()) {
      if (row === next) next = next.nextElementSibling;
      else parts.rows.insertBefore(row, next);
    }
    this.rows = rows;
  }
}

function newRow() {
  const row = document.createElement("tr");
  COLUMNS.forEach((_, n) => {
    const cell = document.createElement(n === 0 ? "th" : "td");
    if (n === 0) [cell.scope, cell.className] = ["row", "text"];
    row.append(cell);
  });
  return row;
}
