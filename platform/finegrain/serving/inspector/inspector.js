"use strict";
const el = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let latest = 0; // the newest question; answers to older ones are dropped
let shown = null; // the file and the answer that are on the page
let served = []; // as /v1/categories lists it

const path = (name) => name.split("/").map(encodeURIComponent).join("/");
const say = (text) => { el("status").textContent = text; };

function headers(extra = {}) {
  const key = el("key").value;
  const bytes = String.fromCharCode(...new TextEncoder().encode(key)); // headers hold bytes
  return key ? { ...extra, "X-API-Key": bytes } : extra;
}

/** The path of the chosen part, or of another. */
function partUrl(dataset, category) {
  [dataset, category] = dataset ? [dataset, category] : el("category").value.split("/");
  return `v1/categories/${encodeURIComponent(dataset)}/${encodeURIComponent(category)}`;
}

async function ask(url, options = {}) {
  const response = await fetch(url, { ...options, headers: headers(options.headers) });
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new Error(body?.error?.message ?? `the server answered ${response.status}`);
}

async function loadCategories(wanted = null) {
  try {
    served = (await (await ask("v1/categories")).json()).categories;
    const chosen = wanted ?? el("category").value;
    el("category").replaceChildren(...served.map((c) => {
      const name = `${c.dataset}/${c.category}`;
      return new Option(`${name}  (version ${c.version}${c.ready === false ? ", not served" : ""})`, name, false, name === chosen);
    }));
    say(served.length ? "Ready" : "No part has a champion yet: make a new one");
    await changeCategory();
  } catch (error) {
    say(error.message);
    el("key-box").open = true;
  }
}

async function changeCategory() {
  const [dataset, category] = el("category").value.split("/");
  const chosen = served.find((c) => c.dataset === dataset && c.category === category);
  el("withdraw").disabled = !chosen;
  el("rollback").disabled = !chosen?.earlier.length;
  el("drift").hidden = true;
  if (!chosen) return;
  if (chosen.message) say(chosen.message);
  showSensitivity();
  showDrift().catch((error) => say(error.message));
  await Promise.all([showExamples(dataset, category), showCaption(dataset, category)]);
}

/** The last accepted parts as a line: 0 is what the photos let expect, in the band they drift little. */
async function showDrift() {
  const part = el("category").value;
  const { deviations, drift } = await (await ask(`${partUrl()}/scores`)).json();
  if (part !== el("category").value) return;
  el("drift").hidden = !drift;
  if (!drift) return;
  const band = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ y: -1, width: 200, height: 2 })) band.setAttribute(name, value);
  const line = document.createElementNS(SVG, "polyline");
  const step = 200 / (deviations.length - 1);
  line.setAttribute("points", deviations.map((one, i) => `${i * step},${Math.max(-4, Math.min(4, -one))}`).join(" "));
  el("sparkline").replaceChildren(band, line);
  el("drift-text").textContent = drift.message ??
    `The last ${drift.images} accepted parts score about as the photos let expect`;
  el("drift-text").classList.toggle("warning", Boolean(drift.message));
}

async function showExamples(dataset, category) {
  el("examples").replaceChildren();
  if (dataset !== "factory") return;
  const examples = (await (await ask("v1/examples")).json())[category] ?? [];
  el("examples").replaceChildren(...examples.map((name) => {
    const url = `v1/examples/${path(`${category}/${name}`)}`;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.example = name;
    const image = new Image();
    image.alt = "";
    ask(url).then((answer) => answer.blob()) // an img can't send the key
      .then((file) => { image.src = URL.createObjectURL(file); }, () => {});
    const label = document.createElement("span");
    label.textContent = name.replaceAll("_", " ");
    button.append(image, label);
    button.title = label.textContent;
    button.onclick = async () => {
      for (const other of el("examples").children) other.classList.toggle("on", other === button);
      await inspect(await (await ask(url)).blob());
    };
    return button;
  }));
}

async function showCaption(dataset, category) {
  const list = el("caption");
  list.replaceChildren();
  try {
    const caption = await (await ask(`${partUrl(dataset, category)}/caption`)).json();
    const rows = [["image", caption.summary], ["foreground", caption.logical_relation],
      ...caption.components.map((c) => [c.name, c.caption])];
    for (const [name, text] of rows) {
      const term = document.createElement("dt");
      const words = document.createElement("dd");
      term.textContent = name;
      words.textContent = text;
      list.append(term, words);
    }
  } catch (error) {
    list.textContent = error.message;
  }
}

/** Whether the browser can draw the file; a TIFF it can't, and the server sends a preview. */
async function canShow(file) {
  try {
    (await createImageBitmap(file)).close();
    return true;
  } catch {
    return false;
  }
}

async function inspect(file) {
  const category = el("category").value;
  if (!category) return;
  const question = ++latest;
  say("Scoring…");
  const start = performance.now();
  try {
    const wanted = await canShow(file) ? "heatmap,components" : "heatmap,components,preview";
    const response = await ask(`${partUrl()}/score?pictures=${wanted}`, {
      method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" },
    });
    const answer = await response.json();
    if (question !== latest) return;
    show(file, answer, performance.now() - start);
    say("Ready");
    await showDrift();
  } catch (error) {
    if (question === latest) say(error.message);
  }
}

function show(file, answer, elapsed) {
  shown = { file, answer };
  endMiss();
  el("correction").textContent = "";
  const result = answer.results[0];
  showVerdict(result, answer.checkpoint);
  URL.revokeObjectURL(el("image").src);
  if (result.pictures.preview) layer("image", result.pictures.preview);
  else el("image").src = URL.createObjectURL(file);
  layer("heatmap", result.pictures.heatmap);
  layer("components", result.pictures.components);
  showRegions(result);
  showLegend(result.components);
  el("stage").hidden = false;
  const t = answer.timing;
  el("timing").textContent =
    `${answer.checkpoint.model} version ${answer.checkpoint.version}, ${answer.checkpoint.detector} · ` +
    `decode ${t.decode_ms.toFixed(0)} + encode ${t.encode_ms.toFixed(0)} + score ` +
    `${t.score_ms.toFixed(0)} + wait ${t.wait_ms.toFixed(0)} = ${t.total_ms.toFixed(0)} ms; ` +
    `${elapsed.toFixed(0)} ms as seen here`;
}

function layer(id, picture) {
  if (picture) el(id).src = `data:image/png;base64,${picture}`;
  else el(id).removeAttribute("src");
}

function showVerdict(result, checkpoint) {
  const box = el("verdict");
  const known = result.threshold !== null;
  box.hidden = false;
  box.className = `verdict ${result.rejected ? "rejected" : "accepted"}`;
  el("decision").textContent = !known ? "No decision" : result.rejected ? "Rejected" : "Accepted";
  const share = known ? result.score / (2 * result.threshold) : 0;
  el("fill").style.width = `${Math.min(100, 100 * share)}%`;
  el("numbers").textContent = `score ${result.score.toPrecision(3)}` +
    (known ? `, threshold ${result.threshold.toPrecision(3)}` : "");
  el("reason").textContent = result.reason;
  el("warning").hidden = !checkpoint.refused;
  el("warning").textContent = checkpoint.refused ?? "";
}

function showRegions(result) {
  el("boxes").setAttribute("viewBox", `0 0 ${result.width} ${result.height}`);
  el("boxes").setAttribute("preserveAspectRatio", "none");
  const boxes = [];
  const lines = result.regions.map((region) => {
    const [left, top, right, bottom] = region.box;
    const rect = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top }))
      rect.setAttribute(name, value);
    boxes.push(rect);
    const line = document.createElement("li");
    line.tabIndex = 0;
    const name = document.createElement("b");
    name.textContent = region.component ?? "region";
    const numbers = ` score ${region.score.toPrecision(3)}, ${(100 * region.area).toFixed(1)} % of the image`;
    const caption = document.createElement("small");
    caption.textContent = region.caption ? ` Should be: ${region.caption}` : "";
    line.append(name, numbers, document.createElement("br"), caption);
    const mark = (on) => () => rect.classList.toggle("on", on);
    line.onmouseenter = line.onfocus = mark(true);
    line.onmouseleave = line.onblur = mark(false);
    return line;
  });
  el("boxes").replaceChildren(...boxes);
  el("regions").replaceChildren(...lines);
}

function showLegend(components) {
  el("legend").replaceChildren(...components.map((component) => {
    const item = document.createElement("li");
    const swatch = document.createElementNS(SVG, "svg");
    const rect = document.createElementNS(SVG, "rect");
    rect.setAttribute("width", "100%");
    rect.setAttribute("height", "100%");
    rect.setAttribute("fill", component.colour);
    swatch.append(rect);
    item.append(swatch, component.name);
    item.title = component.caption;
    return item;
  }));
}

el("opacity").oninput = () => { el("heatmap").style.opacity = el("opacity").value / 100; };
el("show-components").onchange = (event) => {
  el("components").hidden = el("legend").hidden = !event.target.checked;
};
el("show-boxes").onchange = (event) => { el("boxes").style.display = event.target.checked ? "" : "none"; };
el("file").onchange = (event) => { if (event.target.files[0]) inspect(event.target.files[0]); };
el("drop").onkeydown = (event) => {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); el("file").click(); }
};
for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(kind, (event) => {
    if (el("enrol").open) return;
    event.preventDefault();
    el("drop").classList.toggle("over", over);
    if (kind === "drop" && event.dataTransfer.files[0]) inspect(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files][0];
  if (file && !el("enrol").open) inspect(file);
});
el("category").onchange = changeCategory;
el("key").onchange = () => loadCategories();
el("opacity").oninput();
loadCategories();
