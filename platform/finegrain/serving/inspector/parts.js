"use strict"; // new parts, corrections, roll back and delete; uses what inspector.js defines
const MOST_PHOTOS = 8;
const DATASET = "own"; // of parts that are enrolled here
const STATES = { received: "Waiting for a free core", encoding: "Encoding the photos",
  fitting: "Fitting", calibrating: "Calibrating the threshold", registering: "Registering",
  ready: "Ready", failed: "Failed" };
let photos = []; // files and blobs
let camera = null; // a MediaStream
let madeCaption = ""; // by the last preview, for the photos that are there

// --- New part

function addPhotos(files) {
  const images = [...files].filter((file) => file.type.startsWith("image/"));
  photos = [...photos, ...images];
  tell(photos.length > MOST_PHOTOS ? `At most ${MOST_PHOTOS} photos; the first ones are kept`
    : images.length < files.length ? "A file is no image and was left out" : "");
  photos = photos.slice(0, MOST_PHOTOS);
  showThumbs();
}

function showThumbs() {
  forgetPreview();
  for (const old of el("thumbs").querySelectorAll("img")) URL.revokeObjectURL(old.src);
  el("thumbs").replaceChildren(...photos.map((photo, place) => {
    const item = document.createElement("li");
    const image = new Image();
    image.src = URL.createObjectURL(photo);
    image.alt = `Photo ${place + 1}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove photo ${place + 1}`);
    remove.onclick = () => { photos = photos.filter((one) => one !== photo); showThumbs(); };
    item.append(image, remove);
    return item;
  }));
}

const tell = (text) => { el("enrol-status").textContent = text; };

async function useCamera() {
  if (camera) return stopCamera();
  if (!navigator.mediaDevices) return tell("The camera needs localhost or HTTPS");
  try {
    camera = await navigator.mediaDevices.getUserMedia(
      { video: { width: { ideal: 1920 }, facingMode: "environment" } });
  } catch (error) {
    return tell(`No camera: ${error.message}`);
  }
  el("viewfinder").srcObject = camera;
  el("viewfinder").hidden = false;
  el("camera").textContent = "Stop the camera";
  await el("viewfinder").play();
  el("shoot").hidden = !camera; // only once there is a picture to take
}

function stopCamera() {
  for (const track of camera?.getTracks() ?? []) track.stop();
  camera = null;
  el("viewfinder").srcObject = null;
  el("viewfinder").hidden = el("shoot").hidden = true;
  el("camera").textContent = "Use the camera";
}

function takePhoto() {
  const video = el("viewfinder");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((photo) => photo ? addPhotos([photo]) : tell("The camera shows nothing yet"), "image/png");
}

async function loadMethods() {
  if (el("part-method").options.length) return;
  const { methods } = await (await ask("v1/methods")).json();
  el("part-method").replaceChildren(...methods.map((method) => {
    const option = new Option(method.needs_caption ? `${method.name} (with a caption)` : method.name, method.name);
    option.dataset.caption = method.needs_caption;
    return option;
  }));
}

const readsCaption = () => el("part-method").selectedOptions[0]?.dataset.caption === "true";

/** The name that is typed, or nothing and a word about what is missing. */
function checkedPart() {
  const name = el("part-name").value.trim();
  if (!name) return tell("Give the part a name");
  if (name.includes("/")) return tell("A name can't hold '/'");
  if (!photos.length) return tell("Add at least one photo of a good part");
  return name;
}

function partForm() {
  const form = new FormData();
  for (const photo of photos) form.append("photos", photo, "photo");
  form.append("method", el("part-method").value);
  const caption = el("part-caption").value;
  if (readsCaption() && caption.trim()) form.append("caption", caption);
  return form;
}

async function look() {
  const name = checkedPart();
  if (!name) return;
  const before = photos;
  forgetPreview(); // its caption may be of another name
  el("look").disabled = true;
  tell("Looking at the photos…");
  try {
    const url = `${partUrl(DATASET, name)}/preview`;
    const seen = await (await ask(url, { method: "POST", body: partForm() })).json();
    if (before !== photos) return tell("The photos changed: look again");
    showPreview(seen);
  } catch (error) {
    tell(error.message);
  } finally {
    el("look").disabled = false;
  }
}

function showPreview(seen) {
  el("seen").hidden = false;
  el("seen-faults").replaceChildren(...seen.faults.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  el("seen-pictures").replaceChildren(...seen.pictures.map((picture, place) => {
    const item = document.createElement("li");
    const image = new Image();
    image.src = `data:image/png;base64,${picture}`;
    image.alt = `The regions of photo ${place + 1}`;
    item.append(image);
    return item;
  }));
  if (seen.caption) el("part-caption").value = madeCaption = seen.caption;
  tell(seen.faults.length ? "Look at these photos again" : "Nothing is wrong with the photos");
}

/** What was seen belongs to other photos or another method; an edited caption stays. */
function forgetPreview() {
  el("seen").hidden = true;
  if (el("part-caption").value === madeCaption) el("part-caption").value = "";
  el("part-caption-box").hidden = !readsCaption();
}

async function enrol(event) {
  event.preventDefault();
  const name = checkedPart();
  if (!name) return;
  el("enrol-start").disabled = true;
  try {
    await ask(partUrl(DATASET, name), { method: "POST", body: partForm() });
    stopCamera();
    const last = await follow(DATASET, name, tell, el("enrol-progress"));
    if (last.state !== "ready") return;
    await loadCategories(`${DATASET}/${name.normalize("NFC")}`);
    el("enrol").close();
    say(`${name} is ready: drop an image to score it`);
    photos = [];
    el("enrol-form").reset();
    showThumbs();
    tell("");
  } catch (error) {
    tell(error.message);
  } finally {
    el("enrol-start").disabled = false;
    el("enrol-progress").hidden = true;
  }
}

/** Tell an enrolment's states until its last, which is returned. */
async function follow(dataset, category, say, bar = null) {
  const response = await ask(`${partUrl(dataset, category)}/enrolment`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "", last = { state: "failed", message: "the connection was lost" };
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const one of events) {
      const data = one.split("\n").find((line) => line.startsWith("data: "));
      if (!data) continue;
      last = JSON.parse(data.slice(6));
      if (bar) { bar.hidden = false; bar.value = Object.keys(STATES).indexOf(last.state); }
      say(`${STATES[last.state]}${last.message ? `: ${last.message}` : "…"}`);
    }
  }
  return last;
}

// --- Roll back and delete

async function sure(question) {
  el("confirm-text").textContent = question;
  el("confirm").returnValue = "no";
  el("confirm").showModal();
  await new Promise((closed) => { el("confirm").onclose = closed; });
  return el("confirm").returnValue === "yes";
}

async function change(question, url, method, done) {
  const part = el("category").value;
  if (!(await sure(question(part)))) return;
  try {
    const answer = await (await ask(url(), { method })).json();
    await loadCategories();
    await done(part, answer);
  } catch (error) {
    say(error.message);
  }
}

el("rollback").onclick = () => change(
  (part) => `Let the version before answer for ${part} again?`,
  () => `${partUrl()}/rollback`, "POST",
  async (part, answer) => {
    if (onPage(part)) await scoredBy(answer.version, shown.file);
    say(`${part} is version ${answer.version} again`);
  });
el("withdraw").onclick = () => change(
  (part) => `Serve ${part} no longer? Its versions stay in the registry.`,
  () => partUrl(), "DELETE",
  (part) => say(`${part} is no longer served`));

// --- Corrections

const note = (text) => { el("correction").textContent = text; };

async function correct(kind, box = null) {
  const { file, answer } = shown;
  const { dataset, category } = answer;
  const form = new FormData();
  form.append("image", file, "image");
  form.append("kind", kind);
  if (box) form.append("box", box);
  const buttons = [...el("corrections").children];
  for (const button of buttons) button.disabled = true;
  try {
    note("Sending…");
    const url = `${partUrl(dataset, category)}/feedback`;
    const kept = await (await ask(url, { method: "POST", body: form })).json();
    if (!kept.progress) return note("Kept as feedback, with its box");
    const last = await follow(dataset, category, note);
    if (last.state !== "ready") return;
    await loadCategories();
    await scoredBy(last.version, file);
    note(`Learnt: version ${last.version} knows this part`);
  } catch (error) {
    note(error.message);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

/** Score again until that version answers; scorers take a new one up within seconds. */
async function scoredBy(version, file) {
  for (let attempt = 0; attempt < 20 && shown.file === file; attempt++) {
    await inspect(file);
    if (shown.answer.checkpoint.version === version) return;
    await new Promise((later) => setTimeout(later, 500));
  }
}

let drawn = null; // the box's rectangle, while there is one
let corner = null; // where drawing began

function drawBox(left, top, right, bottom) {
  el("miss-box").value = [left, top, right, bottom].join(",");
  drawn ??= document.createElementNS(SVG, "rect");
  drawn.setAttribute("class", "drawn");
  for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top }))
    drawn.setAttribute(name, value);
  el("boxes").append(drawn);
}

function endMiss() {
  drawn?.remove();
  drawn = corner = null;
  el("miss").hidden = true;
  el("stage").firstElementChild.classList.remove("drawing");
}

function beginMiss() {
  const { width, height } = shown.answer.results[0];
  el("miss").hidden = false;
  el("stage").firstElementChild.classList.add("drawing");
  drawBox(...[0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height].map(Math.round));
  el("miss-box").focus();
}

/** The pixel of the image below a pointer. */
function pixel(event) {
  const { width, height } = shown.answer.results[0];
  const seen = el("image").getBoundingClientRect();
  const along = (value, most) => Math.min(most, Math.max(0, Math.round(value * most)));
  return [along((event.clientX - seen.left) / seen.width, width),
    along((event.clientY - seen.top) / seen.height, height)];
}

el("stage").firstElementChild.onpointerdown = (event) => {
  if (el("miss").hidden) return;
  event.preventDefault();
  event.currentTarget.setPointerCapture(event.pointerId);
  corner = pixel(event);
};
el("stage").firstElementChild.onpointermove = (event) => {
  if (!corner) return;
  const [x, y] = pixel(event), [left, top] = corner;
  drawBox(Math.min(x, left), Math.min(y, top), Math.max(x, left), Math.max(y, top));
};
el("stage").firstElementChild.onpointerup = () => { corner = null; };
el("miss-box").onchange = () => {
  const box = el("miss-box").value.split(",").map(Number);
  if (box.length === 4 && box.every(Number.isInteger)) drawBox(...box);
};
el("miss").onsubmit = async (event) => {
  event.preventDefault();
  const box = el("miss-box").value.replaceAll(" ", "");
  endMiss();
  await correct("missed", box);
};
el("is-good").onclick = () => { endMiss(); correct("good"); };
el("was-missed").onclick = beginMiss;
el("miss-cancel").onclick = endMiss;

// --- Sensitivity

const ALARMS = [0.1, 0.2, 0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 50]; // per 100 good parts
let sensitivity = null; // of the chosen part, as the server has it

async function showSensitivity() {
  sensitivity = null;
  el("alarms").disabled = el("alarms-save").disabled = true;
  if (!el("sensitivity-box").open) return;
  el("alarms-shown").textContent = el("alarms-effect").textContent = "";
  const url = `${partUrl()}/sensitivity`;
  try {
    const found = await (await ask(url)).json();
    if (url !== `${partUrl()}/sensitivity`) return; // another part was chosen meanwhile
    sensitivity = found;
    const nearest = ALARMS.map((one) => Math.abs(Math.log(one / found.false_alarms)));
    el("alarms").max = ALARMS.length - 1;
    el("alarms").value = nearest.indexOf(Math.min(...nearest));
    el("alarms").disabled = false;
    showEffect(found.false_alarms);
  } catch (error) {
    el("alarms-effect").textContent = error.message;
  }
}

function showEffect(asked) {
  el("alarms-shown").textContent = asked;
  el("alarms").setAttribute("aria-valuetext", `${asked} of 100`);
  el("alarms-save").disabled = asked === sensitivity.false_alarms;
  const parts = ["missed", "good"].map((kind) => sensitivity.feedback.filter((one) => one.kind === kind));
  const [missed, good] = parts.map((some) => some.filter((one) => one.false_alarms < asked).length);
  el("alarms-effect").textContent = !sensitivity.feedback.length ? "No feedback to try it on yet" :
    `Of the feedback it would find ${missed} of ${parts[0].length} missed defects, and reject ` +
    `${good} of ${parts[1].length} good parts`;
}

async function saveSensitivity() {
  const asked = ALARMS[el("alarms").value];
  const before = shown?.answer.results[0].threshold;
  try {
    await ask(`${partUrl()}/sensitivity`, { method: "PUT", body: JSON.stringify({ false_alarms: asked }),
      headers: { "Content-Type": "application/json" } });
    const part = el("category").value;
    await loadCategories();
    for (let attempt = 0; attempt < 20 && onPage(part); attempt++) {
      await inspect(shown.file);
      if (shown.answer.results[0].threshold !== before) break;
      await new Promise((later) => setTimeout(later, 500));
    }
    say(`${part} may raise ${asked} false alarms among 100 good parts`);
  } catch (error) {
    say(error.message);
  }
}

/** Whether the verdict on the page is one of that part. */
const onPage = (part) => shown && `${shown.answer.dataset}/${shown.answer.category}` === part;

el("alarms").oninput = () => showEffect(ALARMS[el("alarms").value]);
el("alarms-save").onclick = saveSensitivity;
el("sensitivity-box").ontoggle = showSensitivity;

// --- Buttons

el("new-part").onclick = () => {
  el("enrol").showModal();
  el("part-name").focus();
  loadMethods().catch((error) => tell(error.message));
};
el("part-method").onchange = forgetPreview;
el("look").onclick = look;
el("enrol-close").onclick = () => el("enrol").close();
el("enrol").onclose = stopCamera;
el("enrol-form").onsubmit = enrol;
el("camera").onclick = useCamera;
el("shoot").onclick = takePhoto;
el("photo-files").onchange = (event) => { addPhotos(event.target.files); event.target.value = ""; };
el("photo-drop").onkeydown = (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    el("photo-files").click();
  }
};
for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  el("enrol").addEventListener(kind, (event) => {
    event.preventDefault();
    el("photo-drop").classList.toggle("over", over);
    if (kind === "drop") addPhotos(event.dataTransfer.files);
  });
}
