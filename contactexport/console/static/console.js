// The pages work without this file. It opens plots, and asks before what cannot be undone.
"use strict";

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !window.confirm(question)) {
    event.preventDefault();
  }
});

// A form with this attribute is sent as soon as a list in it is changed.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-sent-at-once]");
  if (form && event.target.matches("select")) {
    form.requestSubmit();
  }
});
