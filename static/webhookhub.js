// What makes the pages quicker. Everything works without it; nothing here is needed to see or send.
(() => {
  "use strict";

  const say = (text) => {
    const live = document.getElementById("live");
    live.textContent = "";
    requestAnimationFrame(() => (live.textContent = text));
  };

  // <button data-copy="#id"> copies the element's text, <button data-copy-text="…"> the text itself,
  // <button data-copy-url="…"> what is there at that moment;
  // data-copied holds the word for "Copied".
  const copy = async (button) => {
    const from = button.dataset.copy ? document.querySelector(button.dataset.copy) : null;
    const { copyUrl } = button.dataset;
    const own = () => (from ? ("value" in from ? from.value : from.textContent) : button.dataset.copyText);
    const text = copyUrl ? await (await fetch(copyUrl)).text() : own();
    const done = button.dataset.copied || "Copied";
    await navigator.clipboard.writeText(text);
    const label = button.querySelector("[data-label]") || button;
    const before = label.textContent;
    if (before !== done) {
      label.textContent = done;
      setTimeout(() => (label.textContent = before), 2000);
    }
    say(done);
  };

  // <button data-show="id of a password input" data-hide-label="Hide">Show</button>
  const show = (button) => {
    const input = document.getElementById(button.dataset.show);
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.setAttribute("aria-pressed", String(!shown));
    [button.textContent, button.dataset.hideLabel] = [button.dataset.hideLabel, button.textContent];
  };

  // <fieldset data-group> of tick boxes with <input data-all> and <span data-count="{n} of {all}">
  const recount = (group) => {
    const boxes = [...group.querySelectorAll('input[type="checkbox"]:not([data-all])')];
    const ticked = boxes.filter((box) => box.checked).length;
    const all = group.querySelector("[data-all]");
    const count = group.querySelector("[data-count]");
    if (all) {
      all.checked = ticked === boxes.length;
      all.indeterminate = ticked > 0 && ticked < boxes.length;
    }
    if (count) count.textContent = count.dataset.count.replace("{n}", ticked).replace("{all}", boxes.length);
  };

  // <a data-preset="A B C" data-for="id"> ticks exactly these values within the element
  const choose = (link) => {
    const values = link.dataset.preset.split(" ");
    const within = document.getElementById(link.dataset.for);
    within.querySelectorAll('input[type="checkbox"]:not([data-all])').forEach((box) => {
      box.checked = values.includes(box.value);
    });
    within.querySelectorAll("[data-group]").forEach(recount);
    say(link.textContent.trim());
  };

  document.addEventListener("click", (event) => {
    const preset = event.target.closest("a[data-preset]");
    if (preset) {
      event.preventDefault();
      choose(preset);
    }
    const button = event.target.closest("button");
    if (!button) return;
    if ("copy" in button.dataset || "copyText" in button.dataset || button.dataset.copyUrl) copy(button);
    else if (button.dataset.show) show(button);
  });

  document.addEventListener("change", (event) => {
    const group = event.target.closest("[data-group]");
    if (!group) return;
    if ("all" in event.target.dataset) {
      group.querySelectorAll('input[type="checkbox"]').forEach((box) => (box.checked = event.target.checked));
    }
    recount(group);
  });

  // A URL without https:// in front gets it, once its field is left.
  document.addEventListener("change", ({ target }) => {
    if (target.inputMode !== "url") return;
    const url = target.value.trim();
    target.value = /^[^\s:/?#]+\.[^\s]+$/.test(url) ? `https://${url}` : url;
  });

  // A choice that only counts with another: <select data-with="id of a radio"> chooses that radio.
  document.addEventListener("input", (event) => {
    const radio = event.target.dataset.with && document.getElementById(event.target.dataset.with);
    if (radio) radio.checked = true;
  });

  // A form is sent once, however often its button is pressed; coming back to the page frees it again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
  });

  const prepare = (root) => {
    root.querySelectorAll("button[data-show], [data-needs-script]").forEach((element) => (element.hidden = false));
    root.querySelectorAll("[data-group]").forEach(recount);
  };
  prepare(document);
  // The tabs scroll sideways on a phone: the current one comes into sight.
  document.querySelectorAll(".tabs").forEach((tabs) => {
    const current = tabs.querySelector("[aria-current]");
    if (current) tabs.scrollLeft = current.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - current.offsetWidth) / 2;
  });
  document.addEventListener("htmx:after:swap", (event) => prepare(event.target.querySelectorAll ? event.target : document));
})();

// The History: rows that keep up, the panel beside them, keys.
(() => {
  "use strict";

  const EVERY = 5000; // milliseconds
  const panel = () => document.querySelector(".split > #panel");
  const rows = () => [...document.querySelectorAll("#rows > tr")];

  const refresh = () => {
    if (document.hidden) return;
    document.querySelectorAll("[data-live]").forEach((element) => htmx.trigger(element, "refresh"));
  };
  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", refresh);

  const opened = () => panel()?.querySelector("[data-post]")?.dataset.post;
  const mark = () => {
    const post = opened();
    rows().forEach((row) => {
      if (row.dataset.post === post) row.setAttribute("aria-selected", "true");
      else row.removeAttribute("aria-selected");
    });
  };
  mark();

  let before = opened();
  document.addEventListener("htmx:after:swap", () => {
    const now = opened();
    if (now && now !== before) {
      const target = panel();
      target.scrollTop = 0;
      target.focus({ preventScroll: matchMedia("(min-width: 1100px)").matches });
    }
    before = now;
    mark();
  });
  // What was just sent shows its first result long before the next round.
  document.addEventListener("htmx:after:request", (event) => {
    if (event.detail?.ctx?.request?.method === "POST") setTimeout(refresh, 700);
  });

  const close = (link) => {
    const row = document.getElementById(`post-${opened()}`);
    panel().replaceChildren();
    history.pushState({ htmx: true }, "", link.href);
    before = undefined;
    mark();
    row?.querySelector("a.title")?.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-close]");
    if (link && !event.metaKey && !event.ctrlKey && !event.shiftKey && rows().length) {
      event.preventDefault();
      close(link);
    }
    // Anywhere else on a row is its link too.
    const row = event.target.closest("#rows > tr");
    if (row && !event.target.closest("a, button") && !getSelection().toString()) row.querySelector("a.title").click();
    // A click elsewhere closes an open chip.
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });

  const keysOn = () => localStorage.getItem("keys") !== "off";
  const step = (by) => {
    const all = rows();
    const at = all.findIndex((row) => row.dataset.post === opened());
    const next = all[at < 0 ? 0 : at + by];
    if (!next) return;
    next.querySelector("a.title").click();
    next.scrollIntoView({ block: "nearest" });
  };
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    r: () => panel()?.querySelector("form[data-send] button")?.click(),
    "?": () => {
      document.getElementById("keys-on").checked = keysOn();
      document.getElementById("keys").showModal();
    },
  };
  document.addEventListener("keydown", (event) => {
    if (!document.getElementById("keys") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    if (event.key === "Escape") {
      const menu = document.querySelector("details.menu[open]");
      const link = panel()?.querySelector("[data-close]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      } else if (link) close(link);
    } else if (keys[event.key] && (keysOn() || event.key === "?")) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "keys-on") localStorage.setItem("keys", event.target.checked ? "on" : "off");
  });
})();

// The documentation: a filter over the rows of a table, and a version switch that keeps the place.
(() => {
  "use strict";

  // <input data-filter="#rows" data-shown="#count" data-none="#none">; the count's data-text is "{n} of {all} …"
  const filter = (input) => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.querySelector(input.dataset.filter).children];
    let shown = 0;
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) shown += 1;
    });
    const count = document.querySelector(input.dataset.shown);
    count.textContent = count.dataset.text.replace("{n}", shown).replace("{all}", rows.length);
    document.querySelector(input.dataset.none).hidden = shown > 0;
  };
  const field = () => document.querySelector("input[data-filter]");
  document.addEventListener("input", ({ target }) => {
    // What the server filtered already lacks rows: there the form does it again.
    if (target === field() && !new URLSearchParams(location.search).get("q")) filter(target);
  });
  document.addEventListener("submit", (event) => {
    const input = field();
    if (!input || event.target !== input.form || new URLSearchParams(location.search).get("q")) return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const input = field();
    if (!input || event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog") || localStorage.getItem("keys") === "off") return;
    event.preventDefault();
    input.focus();
    input.select();
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-keeps-place]");
    if (link) link.hash = location.hash;
  });
})();
