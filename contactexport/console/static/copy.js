// Puts a button beside what is to be copied. Without this file one click selects the text.
"use strict";

for (const place of document.querySelectorAll(".copied")) {
  const text = place.querySelector(".pick-all");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      // Without https there is no clipboard. So the text is selected, to be copied by hand.
      window.getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    window.setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  place.append(button);
}
