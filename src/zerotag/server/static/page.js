"use strict";
const $ = (id) => document.getElementById(id);
const PAGE = 40;
const TAGS_SHOWN = 12;
const state = { file: null, digest: null, inLibrary: false, served: null, words: [], start: 0, explained: 0 };

async function answered(path, options = {}) {
  const answer = await fetch(path, options).catch(() => { throw new Error("the server does not answer"); });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.detail ?? `the server answered ${answer.status}`);
  }
  return answer;
}

const ask = async (path, options) => (await answered(path, options)).json();

// what goes wrong is said in a place of the page
const saying = (place, work) => async (...given) => {
  try {
    return await work(...given);
  } catch (error) {
    $(place).textContent = error.message;
  }
};

const asJson = (method, content) => ({
  method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
});

function element(kind, options = {}, ...children) {
  const made = Object.assign(document.createElement(kind), options);
  made.append(...children);
  return made;
}

const shownAs = (tag) => (tag.confidence === null ? tag.score.toFixed(2) : `${Math.round(100 * tag.confidence)} %`);
const thresholdOf = (label) => state.words.find((word) => word.name === label)?.threshold ?? null;

// the words

async function showWords() {
  state.words = await ask("/labels");
  $("words").value = state.words.map((word) => word.name).join("\n");
  $("words-told").textContent = `${state.words.length} in use`;
}

async function setWords() {
  const names = [...new Set($("words").value.split(/[\n,]/).map((name) => name.trim()).filter(Boolean))];
  const known = new Map(state.words.map((word) => [word.name, word]));
  try {
    const { missing } = await ask("/labels", asJson("PUT", names.map((name) => known.get(name) ?? { name })));
    await showWords();
    if (missing.length) $("words-told").textContent += `; not known: ${missing.join(", ")}`;
    await (state.digest && state.inLibrary ? null : tagFile());
    if (state.served.folder) await browse(true);
  } catch (error) {
    $("words-told").textContent = error.message;
  }
}

async function keepThreshold(label, threshold) {
  state.words = state.words.map((word) => (word.name === label ? { ...word, threshold } : word));
  await ask("/labels", asJson("PUT", state.words));
}

// one picture

function show(source, name) {
  $("drop-hint").hidden = true;
  $("shown").hidden = false;
  $("picture").src = source;
  $("picture").alt = `The chosen picture, ${name}`;
  $("caption").textContent = name;
  $("heat").classList.remove("on");
}

async function take(file) {
  if (!file) return;
  Object.assign(state, { file, digest: null, inLibrary: false });
  show(URL.createObjectURL(file), file.name);
  await tagFile();
}

async function tagFile() {
  if (!state.file) return;
  $("caption").textContent = "looking …";
  try {
    const found = await ask(`/tag?top_k=${TAGS_SHOWN}`, { method: "POST", body: state.file });
    state.digest = found.digest;
    $("caption").textContent = state.file.name;
    showTags(found.tags, {});
  } catch (error) {
    $("caption").textContent = error.message;
    $("tags").replaceChildren();
  }
}

function open(picture) {
  Object.assign(state, { file: null, digest: picture.digest, inLibrary: true });
  show(`/picture/${picture.digest}`, picture.path);
  showTags(picture.tags ?? [], picture.verdicts ?? {});
  $("drop").scrollIntoView({ behavior: "smooth", block: "center" });
}

function showTags(tags, verdicts) {
  $("tags").replaceChildren(...tags.map((tag) => tagRow(tag, verdicts[tag.label] ?? null)));
}

function tagRow(tag, verdict) {
  const threshold = thresholdOf(tag.label);
  const share = tag.confidence ?? 0;
  const name = element("button", { className: "name", type: "button", title: "Show where in the picture" }, tag.label);
  name.append(element("small", {}, tag.seen ? "" : " new"));
  const meter = element("div", { className: "meter" });
  const filled = element("span");
  filled.style.width = `${100 * share}%`;
  meter.append(filled);
  const row = element("li", { className: "tag" }, name, meter, element("span", { className: "number" }, shownAs(tag)));
  const dim = (from) => row.classList.toggle("below", from !== null && share < from);
  dim(threshold);
  if (state.served.calibrated) {
    const slider = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: threshold ?? 0 });
    slider.setAttribute("aria-label", `Threshold of ${tag.label}`);
    slider.addEventListener("input", () => dim(Number(slider.value)));
    slider.addEventListener("change", saying("words-told", () => keepThreshold(tag.label, Number(slider.value))));
    meter.append(slider);
  }
  if (state.served.folder) row.append(judgeButtons(tag.label, verdict));
  const reveal = () => explain(tag.label);
  for (const event of ["mouseenter", "focusin"]) row.addEventListener(event, reveal);
  for (const event of ["mouseleave", "focusout"]) row.addEventListener(event, () => $("heat").classList.remove("on"));
  name.addEventListener("click", reveal);
  return row;
}

function judgeButtons(label, verdict) {
  const box = element("span", { className: "judge" });
  const buttons = [["yes", "✓", true, "Accept"], ["no", "✗", false, "Reject"]].map(([kind, sign, value, verb]) => {
    const button = element("button", { type: "button", className: kind }, sign);
    button.setAttribute("aria-label", `${verb} ${label}`);
    button.setAttribute("aria-pressed", String(verdict === value));
    button.addEventListener("click", async () => {
      const accepted = button.getAttribute("aria-pressed") === "true" ? null : value;
      try {
        await ask("/verdict", asJson("POST", { digest: state.digest, label, accepted }));
        for (const other of buttons) other.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", String(accepted !== null));
      } catch (error) {
        $("caption").textContent = error.message;
      }
    });
    return button;
  });
  box.append(...buttons);
  return box;
}

async function explain(label) {
  if (!state.served.heat_maps || !state.digest) return;
  const turn = ++state.explained;
  const query = new URLSearchParams({ label });
  if (state.inLibrary) query.set("digest", state.digest);
  try {
    const { heat } = await ask(`/explain?${query}`, { method: "POST", body: state.inLibrary ? null : state.file });
    if (turn === state.explained) paint(heat);
  } catch (error) {
    $("caption").textContent = error.message;
  }
}

function paint(heat) {
  const [height, width] = [heat.length, heat[0].length];
  const small = element("canvas", { width, height });
  const pixels = new ImageData(width, height);
  heat.flat().forEach((value, i) => {
    pixels.data.set([10, 12, 24, 225 * (1 - value)], 4 * i); // all but where the label is seen goes dark
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  const canvas = $("heat");
  Object.assign(canvas, { width: 320, height: Math.round((320 * $("picture").height) / Math.max(1, $("picture").width)) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  canvas.classList.add("on");
}

// the library

function card(picture, told) {
  const source = `/picture/${picture.digest}`;
  const image = element("img", { src: source, alt: `Picture ${picture.path}`, loading: "lazy" });
  const text = element("p", {}, told);
  image.addEventListener("error", () => answered(source).catch((error) => { text.textContent = error.message; }));
  const button = element("button", { type: "button" }, image, text);
  button.addEventListener("click", () => (picture.tags ? open(picture) : openFound(picture)));
  return element("li", {}, button);
}

const openFound = saying("library-told", async (picture) => {
  const found = await ask(`/picture-tags/${picture.digest}`);
  open({ ...picture, ...found });
});

const browse = saying("library-told", async (fromStart) => {
  state.start = fromStart ? 0 : state.start;
  const { total, pictures } = await ask(`/pictures?start=${state.start}&number=${PAGE}`);
  const cards = pictures.map((picture) => card(picture, picture.tags.slice(0, 3).map((tag) => tag.label).join(", ")));
  if (fromStart) $("grid").replaceChildren(...cards);
  else $("grid").append(...cards);
  state.start += PAGE;
  $("more").hidden = state.start >= total;
  $("library-told").textContent = `${total} pictures`;
});

async function search(event) {
  event.preventDefault();
  const words = $("search").value.split(",").map((word) => word.trim()).filter(Boolean);
  if (!words.length) return browse(true);
  try {
    const found = await ask("/search", asJson("POST", { words, top: PAGE }));
    $("grid").replaceChildren(...found.map((match) => card(match, `${match.match.toFixed(1)} · ${match.path}`)));
    $("more").hidden = true;
    $("library-told").textContent = `the ${found.length} best matches`;
  } catch (error) {
    $("library-told").textContent = error.message;
  }
}

// the beginning

const drop = $("drop");
drop.addEventListener("click", () => $("file").click());
drop.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); $("file").click(); }
});
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
$("file").addEventListener("change", (event) => take(event.target.files[0]));
$("set-words").addEventListener("click", setWords);
$("search-form").addEventListener("submit", search);
$("browse").addEventListener("click", () => browse(true));
$("more").addEventListener("click", () => browse(false));
$("export").addEventListener("change", saying("library-told", async (event) => {
  const form = event.target.value;
  event.target.value = "";
  if (!form) return;
  const answer = await answered(`/export?format=${encodeURIComponent(form)}`);
  const [, name] = answer.headers.get("Content-Disposition").match(/filename="(.*)"/);
  const href = URL.createObjectURL(await answer.blob());
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}));

(async () => {
  try {
    state.served = await ask("/health");
    const { model, folder, pictures, calibrated } = state.served;
    $("served").textContent = (folder ? `${pictures} pictures of ${folder}` : model) + (calibrated ? "" : "; raw scores, not calibrated");
    await showWords();
    if (folder) { $("library").hidden = false; await browse(true); }
  } catch (error) {
    $("served").textContent = error.message;
  }
})();
