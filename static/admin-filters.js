/* A filter of the admin's lists that is chosen from a search: chosen is applied; emptied, it is taken off. */
"use strict";
{
  const $ = django.jQuery;
  const form = (field) => field.closest("form.pick");
  $(document).on("change", "form.pick select", (event) => form(event.target).requestSubmit());
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form.pick")) return;
    for (const field of event.target.querySelectorAll("select, input[type=text]")) {
      if (!field.value) field.disabled = true;
    }
  });
}
