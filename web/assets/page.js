// The page is complete without this. It keeps it live, and lets a reader take values off the charts.
"use strict";
(() => {
  const events = document.body.dataset.events;
  const live = document.getElementById("live");
  const asOf = document.getElementById("as-of");

  // What the server renders is escaped there; this only lets it through where Trusted Types are in force.
  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("status", { createHTML: (html) => html })
    : { createHTML: (html) => html };

  // morph makes an element like another one and keeps what a reader did: focus, selection, what is unfolded.
  const kept = new Set(["open", "tabindex", "role", "aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext", "aria-orientation"]);
  function morph(old, next) {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== Node.ELEMENT_NODE || next.nodeType !== Node.ELEMENT_NODE || old.tagName !== next.tagName || old.id !== next.id) {
      if (old.nodeType === Node.TEXT_NODE && next.nodeType === Node.TEXT_NODE) old.data = next.data;
      else old.replaceWith(next);
      return;
    }
    for (const a of [...old.attributes]) if (!next.hasAttribute(a.name) && !kept.has(a.name)) old.removeAttribute(a.name);
    for (const a of next.attributes) if (a.name !== "open" && old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
    // Children with an id are found again wherever they went, so an incident that moves stays as unfolded as it was.
    const byId = new Map([...old.children].filter((c) => c.id).map((c) => [c.id, c]));
    let at = old.firstChild;
    for (const child of [...next.childNodes]) {
      const same = child.id && byId.get(child.id);
      if (same) {
        if (same !== at) old.insertBefore(same, at);
        else at = at.nextSibling;
        morph(same, child);
      } else if (at && !at.id && !child.id) {
        const following = at.nextSibling;
        morph(at, child);
        at = following;
      } else {
        old.insertBefore(child, at);
      }
    }
    while (at) {
      const following = at.nextSibling;
      at.remove();
      at = following;
    }
  }

  function say(text, on) {
    if (live.textContent === text) return;
    live.textContent = text;
    live.className = text && (on ? "on" : "off");
  }

  let stream = null;
  let again = 0;
  function connect() {
    clearTimeout(again);
    if (stream || document.hidden) return;
    const source = stream = new EventSource(events);
    source.onopen = () => say("Live.", true);
    source.onerror = () => {
      say("Not live: the connection is lost.", false);
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      stream = null;
      again = setTimeout(connect, 30000);
    };
    source.addEventListener("layout", (e) => {
      if (e.data !== document.body.dataset.layout) location.reload();
    });
    source.addEventListener("part", (e) => {
      const { id, html, at } = JSON.parse(e.data);
      const old = document.getElementById(id);
      const template = document.createElement("template");
      template.innerHTML = policy.createHTML(html);
      const next = template.content.firstElementChild;
      if (!old || !next) return;
      morph(old, next);
      const title = document.getElementById("summary").dataset.title;
      if (document.title !== title) document.title = title;
      document.querySelectorAll(".plot").forEach(readable);
      asOf.textContent = "Changed " + at + " UTC.";
    });
  }
  function disconnect() {
    if (stream) stream.close();
    stream = null;
    say("", true);
  }

  // readable lets the pointer and the arrow keys walk along a chart.
  const readers = new WeakMap();
  function readable(plot) {
    const svg = plot.querySelector("svg");
    plot.tabIndex = 0;
    plot.setAttribute("role", "slider");
    plot.setAttribute("aria-orientation", "horizontal");
    plot.setAttribute("aria-label", plot.dataset.label);
    plot.setAttribute("aria-valuemin", "0");
    let reader = readers.get(plot);
    if (!reader) {
      reader = { index: -1, values: [] };
      readers.set(plot, reader);
      svg.addEventListener("pointermove", (e) => {
        const box = svg.getBoundingClientRect();
        const x = ((e.clientX - box.left) / box.width) * plot.dataset.width;
        let best = 0;
        reader.values.forEach((v, i) => { if (Math.abs(v.x - x) < Math.abs(reader.values[best].x - x)) best = i; });
        show(plot, best);
      });
      svg.addEventListener("pointerleave", () => { if (document.activeElement !== plot) show(plot, -1); });
      plot.addEventListener("blur", () => show(plot, -1));
      plot.addEventListener("focus", () => show(plot, reader.values.length - 1));
      plot.addEventListener("keydown", (e) => {
        const last = reader.values.length - 1;
        const to = { ArrowLeft: reader.index - 1, ArrowDown: reader.index - 1, ArrowRight: reader.index + 1, ArrowUp: reader.index + 1,
          PageUp: reader.index + 10, PageDown: reader.index - 10, Home: 0, End: last }[e.key];
        if (to === undefined) return;
        e.preventDefault();
        show(plot, Math.min(last, Math.max(0, to)));
      });
    }
    const height = Number(plot.dataset.height);
    reader.values = [...plot.querySelectorAll("polyline.line")].flatMap((line) => line.getAttribute("points").split(" ").map((p) => {
      const [x, y] = p.split(",").map(Number);
      return { x, distance: height - y };
    }));
    show(plot, Math.min(reader.index, reader.values.length - 1));
  }

  function show(plot, index) {
    const reader = readers.get(plot);
    reader.index = index;
    const svg = plot.querySelector("svg");
    const reading = plot.parentElement.querySelector(".reading");
    let cursor = svg.querySelector(".cursor");
    const value = reader.values[index];
    const last = reader.values[reader.values.length - 1];
    const words = (v) => new Date((Number(plot.dataset.start) + v.x) * 1000).toISOString().slice(11, 16) + ": " + v.distance.toLocaleString("en") + " slots behind";
    plot.setAttribute("aria-valuemax", String(Math.max(0, reader.values.length - 1)));
    plot.setAttribute("aria-valuenow", String(value ? index : Math.max(0, reader.values.length - 1)));
    if (last) plot.setAttribute("aria-valuetext", words(value || last));
    if (reading) reading.textContent = value ? words(value) : "";
    if (!value) {
      if (cursor) cursor.remove();
      return;
    }
    if (!cursor) {
      cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
      cursor.setAttribute("class", "cursor");
      svg.append(cursor);
    }
    for (const [name, at] of [["x1", value.x], ["x2", value.x], ["y1", 0], ["y2", plot.dataset.height]]) cursor.setAttribute(name, at);
  }

  document.querySelectorAll(".plot").forEach(readable);
  if (events && window.EventSource) {
    document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
    window.addEventListener("pagehide", disconnect);
    window.addEventListener("pageshow", connect);
    connect();
  }
})();
