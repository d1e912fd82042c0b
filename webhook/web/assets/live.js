// Keeps a page current. An element with data-live is told of news by
// server-sent events, whose payload is HTML that the server rendered: "put"
// goes in the place of the element with its ID, or in front; "add" goes behind;
// "say" is for people who hear the page; "end" is the end.
"use strict";

const said = document.getElementById("say");

function element(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.firstElementChild;
}

// put keeps the focus, and a page that says the same already as it is.
function put(place, html) {
  const fresh = element(html);
  const old = document.getElementById(fresh.id);
  if (!old) {
    place.prepend(fresh);
    fresh.classList.add("fresh");
    place.closest("section, main").querySelector(".none")?.remove();
    while (place.childElementCount > Number(place.dataset.most || 200)) place.lastElementChild.remove();
    return;
  }
  if (old.outerHTML === fresh.outerHTML) return;
  const focus = old.contains(document.activeElement) && document.activeElement;
  const all = (root) => [...root.querySelectorAll("a, button, [tabindex]")];
  const nth = focus ? all(old).indexOf(focus) : -1;
  old.replaceWith(fresh);
  if (!focus) return;
  const same = all(fresh)[nth] || fresh.querySelector("a, button") || document.getElementById("main");
  same.focus({ preventScroll: true });
}

// add follows the end of a log for who is there.
function add(place, html) {
  const follows = place.scrollTop + place.clientHeight >= place.scrollHeight - 40;
  place.append(element(html));
  while (place.childElementCount > Number(place.dataset.most || 5000)) place.firstElementChild.remove();
  if (follows) place.scrollTop = place.scrollHeight;
}

for (const place of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(place.dataset.live);
  const shown = place.closest("section, main").querySelector("[data-connection]");
  const connected = (yes) => { if (shown) shown.hidden = !yes; };
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => connected(false));
  source.addEventListener("put", (e) => put(place, e.data));
  source.addEventListener("add", (e) => add(place, e.data));
  source.addEventListener("say", (e) => { said.textContent = e.data; });
  source.addEventListener("end", () => { source.close(); connected(false); });
}

for (const log of document.querySelectorAll(".log")) log.scrollTop = log.scrollHeight;
