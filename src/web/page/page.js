"use strict";
// What a page gains from a script, and never needs: it stays up to date, copies, and does not send a form twice.

// Parts of a page are replaced one by one. One in which somebody is typing, choosing or listening stays as it is.
function isInUse(part) {
  const here = document.activeElement;
  if (part.contains(here) && here.matches("input, select, textarea, video, audio")) return true;
  for (const media of part.querySelectorAll("video, audio")) if (!media.paused) return true;
  for (const field of part.querySelectorAll("input, select, textarea")) {
    if (field.type === "hidden") continue;
    if (field.type === "file" ? field.files.length > 0 : isTouched(field)) return true;
  }
  return false;
}

function isTouched(field) {
  if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
  const usual = [...field.options].findIndex((option) => option.defaultSelected);
  return field.selectedIndex !== Math.max(usual, 0);
}

// Where an element is found again in the part that takes its part's place.
function trace(part, element) {
  if (element.id) return (fresh) => fresh.ownerDocument.getElementById(element.id);
  const kind = element.tagName;
  const at = [...part.querySelectorAll(kind)].indexOf(element);
  return (fresh) => fresh.querySelectorAll(kind)[at];
}

function replace(old, fresh) {
  const open = [...old.querySelectorAll("details")].filter((one) => one.open).map((one) => trace(old, one));
  const focus = old.contains(document.activeElement) ? trace(old, document.activeElement) : null;
  old.replaceWith(fresh);
  for (const find of open) {
    const details = find(fresh);
    if (details) details.open = true;
  }
  if (focus) focus(fresh)?.focus({ preventScroll: true });
}

function take(fresh) {
  const main = document.getElementById("main");
  const parts = [...fresh.querySelectorAll("[data-part]")];
  const names = new Set(parts.map((part) => part.id));
  for (const old of main.querySelectorAll("[data-part]")) {
    if (!names.has(old.id) && !isInUse(old)) old.remove();
  }
  let before = null;
  for (const part of parts) {
    const old = document.getElementById(part.id);
    const adopted = document.adoptNode(part);
    if (!old) {
      if (before) before.after(adopted);
      else document.getElementById("title").after(adopted);
    } else if (!old.isEqualNode(adopted) && !isInUse(old)) {
      replace(old, adopted);
    }
    before = document.getElementById(part.id);
  }
  const title = fresh.getElementById("title");
  if (title) document.getElementById("title").textContent = title.textContent;
  document.title = fresh.title;
  light(main);
}

let isFetching = false;
async function refresh() {
  if (isFetching) return;
  isFetching = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The daemon is away; the stream comes back with it.
  } finally {
    isFetching = false;
  }
}

// A page that nobody sees holds no connection: a browser has few of them for one site.
let stream = null;
function listen() {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else if (!stream) {
    stream = new EventSource("/events");
    stream.addEventListener("message", refresh);
    stream.addEventListener("open", refresh);
  }
}

function light(within) {
  if (navigator.clipboard) for (const button of within.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  // After the form was read, so that a button's own value goes with it.
  setTimeout(() => { for (const button of event.target.querySelectorAll("button")) button.disabled = true; });
});
// A page that comes back from the browser's memory was not sent.
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const button of document.querySelectorAll("button[disabled]")) button.disabled = false;
});

light(document);
if (document.querySelector("main[data-live]")) {
  document.addEventListener("visibilitychange", listen);
  listen();
}
