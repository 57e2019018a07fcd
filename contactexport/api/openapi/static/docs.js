// The page reads well without this script. It adds copy buttons, the current section in the contents, and "Try it".
// Nothing is stored, and no text becomes markup: the policy of the page allows neither.
"use strict";
{
  const SHOWN_BYTES = 200000;
  const HEADERS = ["X-Export-Id", "X-Feed-Sequence", "X-RateLimit-Remaining", "Retry-After", "Content-Type", "ETag"];

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // Copy

  async function copy(pre, button) {
    const before = "Copy";
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      // Without https browsers refuse. The text is selected, so that a key press copies it.
      getSelection().selectAllChildren(pre);
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
    }
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  function addCopyButton(box) {
    const pre = box.querySelector("pre");
    const title = box.querySelector("p");
    const button = element("button", { type: "button", className: "button copy", textContent: "Copy" });
    button.setAttribute("aria-label", `Copy: ${title.textContent}`);
    button.addEventListener("click", () => copy(pre, button));
    title.after(button);
  }

  document.querySelectorAll(".code").forEach(addCopyButton);

  // Contents

  const fold = document.querySelector(".fold");
  const links = new Map();
  for (const link of document.querySelectorAll("nav a[href^='#']")) {
    links.set(link.hash.slice(1), link);
    link.addEventListener("click", () => { fold.open = false; });
  }
  const sections = [...links.keys()].map((id) => document.getElementById(id));
  let current = null;
  let waiting = false;

  function highlight() {
    waiting = false;
    const line = innerHeight / 4;
    const atEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
    const passed = sections.filter((section) => section.getBoundingClientRect().top <= line);
    const found = links.get((atEnd ? sections.at(-1) : passed.at(-1))?.id);
    if (found === current) return;
    current?.removeAttribute("aria-current");
    current = found;
    current?.setAttribute("aria-current", "true");
    const list = document.querySelector(".side");
    if (current && list.scrollHeight > list.clientHeight) {
      const { top, bottom } = current.getBoundingClientRect();
      if (top < 0 || bottom > innerHeight) list.scrollTop += top - innerHeight / 2;
    }
  }

  addEventListener("scroll", () => {
    if (!waiting) requestAnimationFrame(highlight);
    waiting = true;
  }, { passive: true });
  highlight();

  // Try it. The token is in this variable and in the inputs, nowhere else.

  let token = "";
  const tokenInputs = [document.getElementById("own-token")];
  const idInputs = [];
  let lastId = null;

  function shareToken(event) {
    token = event.target.value.trim();
    for (const input of tokenInputs) if (input !== event.target) input.value = event.target.value;
  }

  tokenInputs[0].addEventListener("input", shareToken);
  const ownForm = document.getElementById("own");
  ownForm.hidden = false;
  ownForm.addEventListener("submit", (event) => event.preventDefault());

  function labelled(text, input) {
    const label = element("label", { textContent: text });
    label.htmlFor = input.id;
    return [label, input];
  }

  async function textOf(answer) {
    const reader = answer.body?.getReader();
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for (;;) {
      const { done, value } = reader ? await reader.read() : { done: true };
      if (done) return text + decoder.decode();
      bytes += value.length;
      text += decoder.decode(value, { stream: true });
      if (bytes > SHOWN_BYTES) {
        await reader.cancel();
        return `${text.slice(0, SHOWN_BYTES)}\n… the rest is not shown`;
      }
    }
  }

  async function send(section, values, body) {
    let path = section.dataset.path;
    const query = new URLSearchParams();
    for (const [{ dataset }, input] of values) {
      if (dataset.where === "path") path = path.replace(`{${dataset.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(dataset.name, input.value);
    }
    const url = new URL(path + (query.size ? `?${query}` : ""), location.origin);
    if (url.origin !== location.origin) throw new Error("only this service is called");
    const headers = {};
    if (section.dataset.token === "1") headers.Authorization = `Bearer ${token}`;
    if (body) headers["Content-Type"] = "application/json";
    const started = performance.now();
    // The cookie of the console does not count here, and another host never gets the token.
    const answer = await fetch(url, {
      method: section.dataset.method,
      headers,
      body: body?.value,
      credentials: "omit",
      redirect: "error",
      cache: "no-store",
      referrerPolicy: "no-referrer",
    });
    let text = await textOf(answer);
    if (answer.headers.get("Content-Type")?.includes("json")) {
      try {
        const reply = JSON.parse(text);
        text = JSON.stringify(reply, null, 2);
        if (Number.isInteger(reply.data?.id)) lastId = String(reply.data.id);
      } catch {
        // It was cut, or is no JSON after all. It is shown as it came.
      }
    }
    for (const input of idInputs) if (lastId && !input.dataset.changed) input.value = lastId;
    const told = HEADERS.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
    const milliseconds = Math.round(performance.now() - started);
    return [`HTTP ${answer.status} after ${milliseconds} ms`, `${told.join("\n")}\n\n${text}`];
  }

  function addTryIt(section) {
    const form = element("form", { autocomplete: "off" });
    const values = [];
    if (section.dataset.token === "1") {
      const input = element("input", { type: "password", id: `${section.id}-token`, value: token, autocomplete: "off" });
      input.addEventListener("input", shareToken);
      tokenInputs.push(input);
      form.append(...labelled("Your token", input));
    }
    for (const row of section.querySelectorAll("[data-where]")) {
      if (row.dataset.where === "path" && !section.dataset.path.includes(`{${row.dataset.name}}`)) continue;
      const input = element("input", { id: `${section.id}-${row.dataset.name}`, spellcheck: false });
      input.required = row.dataset.required === "1";
      if (row.dataset.where === "path" || input.required) input.value = row.dataset.example;
      if (row.dataset.name === "export_id") {
        if (lastId) input.value = lastId;
        input.addEventListener("input", () => { input.dataset.changed = "1"; });
        idInputs.push(input);
      }
      values.push([row, input]);
      form.append(...labelled(`${row.dataset.name}${input.required ? "" : " (optional)"}`, input));
    }
    let body = null;
    if (section.dataset.body) {
      const rows = Math.min(16, section.dataset.body.split("\n").length + 1);
      body = element("textarea", { id: `${section.id}-body`, rows, value: section.dataset.body, spellcheck: false });
      form.append(...labelled("Body", body));
    }
    const button = element("button", { className: "button primary send", textContent: `Send ${section.dataset.method}` });
    const title = element("p");
    title.setAttribute("role", "status");
    const pre = element("pre", { tabIndex: 0 });
    pre.setAttribute("aria-label", "Answer");
    pre.setAttribute("role", "region");
    const box = element("div", { className: "code", hidden: true }, title, pre);
    addCopyButton(box);
    form.append(button, box);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      // Not `disabled`: the button would lose the focus of the keyboard.
      if (button.ariaDisabled === "true") return;
      button.ariaDisabled = "true";
      box.hidden = false;
      title.textContent = "Sending";
      try {
        [title.textContent, pre.textContent] = await send(section, values, body);
      } catch (error) {
        title.textContent = "No answer";
        pre.textContent = `${error.message}. The service is not reached, or it sends the file from another host.`;
      }
      button.ariaDisabled = "false";
    });
    return form;
  }

  for (const section of document.querySelectorAll("section[data-path]")) {
    const details = element("details", { className: "panel try" }, element("summary", { textContent: "Try it" }));
    details.addEventListener("toggle", () => {
      if (details.open && !details.querySelector("form")) details.append(addTryIt(section));
    });
    section.querySelector(".columns > div:last-child").append(details);
  }
}
