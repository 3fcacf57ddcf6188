// The console's only script: charts, times in the reader's zone, keys, table sorting and filtering, and quiet refresh.
"use strict";
// The theme that the reader chose, before anything is drawn: a page must not flash in the other one.
{
  const stored = localStorage.getItem("theme");
  if (stored) document.documentElement.dataset.theme = stored;
}
addEventListener("DOMContentLoaded", () => {
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // Addresses that MLflow's client prints and keeps in its logs: theirs lie behind a `#`, ours do not.
  const moved = () => {
    if (location.pathname !== "/" || !location.hash.startsWith("#/")) return;
    const [kind, name, more, run] = location.hash.slice(2).split("?")[0].split("/");
    if (kind === "experiments" && more === "runs" && run) location.replace(`/runs/${run}`);
    else if (kind === "experiments") location.replace(name ? `/runs?experiment=${name}` : "/runs");
    else if (kind === "models") location.replace(name ? `/models/${name}` : "/models");
  };
  moved();
  addEventListener("hashchange", moved);

  // Theme: follows the system until the reader chooses.
  const toggle = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    drawAll();
  };
  document.getElementById("theme")?.addEventListener("click", toggle);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());

  // Times: the server writes UTC; the reader sees their own zone, which stands below the pages, with UTC on hover.
  const showTimes = (scope) => scope.querySelectorAll("time[datetime]").forEach((element) => {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.valueOf())) return;
    const whole = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    element.title = `${whole}\n${element.dateTime} (UTC)`;
    element.textContent = element.dataset.day !== undefined
      ? at.toLocaleDateString(undefined, { dateStyle: "medium" })
      : at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  });

  const zone = document.querySelector("[data-zone]");
  if (zone) zone.textContent = `times in ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;

  // Charts: each figure carries its data as JSON and is drawn with the page's colours.
  const draw = (element) => {
    const source = document.getElementById(element.dataset.chart);
    if (!source || !window.Plotly) return;
    // "--bad" in a chart is the page's colour of that name
    const colour = (_, value) => (typeof value === "string" && /^--[a-z0-9-]+$/.test(value) ? css(value) : value);
    const { data, layout = {} } = JSON.parse(source.textContent, colour);
    const axis = (own) => ({
      gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), automargin: true, ...own,
      title: { font: { size: 12 }, standoff: 8, ...own?.title },
    });
    const merged = {
      margin: { l: 48, r: 12, t: 12, b: 36 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: css("--sans"), size: 12, color: css("--soft") }, hovermode: "x unified",
      hoverlabel: { bgcolor: css("--sheet"), bordercolor: css("--line"), font: { color: css("--ink") } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      colorway: ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"].map(css),
      ...layout,
      xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis),
    };
    if (layout.yaxis2) merged.yaxis2 = axis(layout.yaxis2);
    window.Plotly.react(element, data, merged, { responsive: true, displayModeBar: false });
  };
  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);

  // Tables: click or Enter on a heading sorts; the filter box hides rows.
  const key = (row, column) => {
    const cell = row.cells[column];
    const raw = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
    if (raw === "" || raw === "–") return undefined;
    const number = Number(raw);
    return Number.isNaN(number) ? raw.toLowerCase() : number;
  };
  const rank = (value) => (typeof value === "number" ? 0 : value === undefined ? 2 : 1);
  const sort = (heading) => {
    const table = heading.closest("table");
    const column = heading.cellIndex;
    const down = heading.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    // numbers before words, and what is missing last, whichever way
    [...body.rows]
      .map((row) => [key(row, column), row])
      .sort(([a], [b]) => rank(a) - rank(b) || (a === b ? 0 : (a < b) === down ? 1 : -1))
      .forEach(([, row]) => body.append(row));
  };
  document.addEventListener("click", (event) => {
    const heading = event.target.closest?.("th[data-sort]");
    if (heading) sort(heading);
  });
  document.addEventListener("input", (event) => {
    const box = event.target.closest?.("input[data-filter]");
    if (!box) return;
    const wanted = box.value.toLowerCase();
    document.querySelectorAll(`#${box.dataset.filter} tbody tr`).forEach((row) => {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  });

  // A heading that does not fit says itself on hover.
  document.addEventListener("mouseover", (event) => {
    const heading = event.target.closest?.("thead th");
    if (heading && heading.scrollWidth > heading.clientWidth) heading.title = heading.textContent;
  });

  // Choosing rows: those of the address are ticked, two at least are sent, and the rest of the address stays.
  const address = new URLSearchParams(location.search);
  document.querySelectorAll("main form").forEach((form) => {
    const boxes = [...form.querySelectorAll("input[type=checkbox]")];
    const button = form.querySelector("button[type=submit]");
    if (!boxes.length || !button) return;
    const [{ name }] = boxes;
    const chosen = address.getAll(name).flatMap((ids) => ids.split(","));
    boxes.forEach((box) => { box.checked ||= chosen.includes(box.value); });
    const count = () => {
      const ticked = boxes.filter((box) => box.checked).length;
      button.disabled = ticked < 2;
      button.title = ticked < 2 ? "Tick two rows or more" : "";
    };
    form.addEventListener("change", count);
    // also when the browser comes back to the page, with the ticks it had
    addEventListener("pageshow", count);
    count();
    form.addEventListener("formdata", ({ formData }) => {
      address.forEach((value, other) => { if (other !== name) formData.append(other, value); });
    });
  });

  // Keys: g then a letter goes to a page, / searches, t changes the theme.
  let after_g = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (event.key === "Enter" && event.target.matches("th[data-sort]")) return sort(event.target);
    if (after_g) {
      after_g = false;
      document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`)?.click();
    } else if (event.key === "g") {
      after_g = true;
      setTimeout(() => { after_g = false; }, 1200);
    } else if (event.key === "/") {
      const box = document.querySelector("input[data-filter]");
      if (box) { event.preventDefault(); box.focus(); }
    } else if (event.key === "t") {
      toggle();
    }
  });

  // Buttons that change something: ask when asked to, post, and show what came of it.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-post]");
    if (!button || (button.dataset.ask && !confirm(button.dataset.ask))) return;
    button.disabled = true;
    try {
      const answer = await fetch(button.dataset.post, {
        method: "POST", headers: { "content-type": "application/json" }, body: button.dataset.body,
      });
      if (answer.ok) return location.reload();
      const problem = await answer.json().catch(() => ({}));
      alert(problem.detail ?? `the server answered ${answer.status}`);
    } catch {
      alert("the server cannot be reached");
    }
    button.disabled = false;
  });

  // Live parts are fetched again in place while the page is visible; nothing else moves.
  const known = new WeakMap();
  const refresh = async (part) => {
    if (document.hidden) return;
    try {
      const answer = await fetch(part.dataset.live, { headers: { accept: "text/html" } });
      if (!answer.ok) return;
      const text = await answer.text();
      // what did not change stays, with what the reader has marked in it
      if (known.get(part) === text) return;
      known.set(part, text);
      const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
      part.innerHTML = text;
      showTimes(part);
      if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    } catch { /* the server is away; the page keeps what it has */ }
  };
  document.querySelectorAll("[data-live]").forEach((part) => setInterval(() => refresh(part), 2000));

  showTimes(document);
  drawAll();
});
