"use strict";
(function () {
  // The filter of the timeline.
  var filter = document.getElementById("filter");
  var buttons = filter.querySelectorAll("button");
  var events = document.querySelectorAll(".event");
  function show(kind) {
    buttons.forEach(function (b) { b.setAttribute("aria-pressed", String(b.dataset.kind === kind)); });
    events.forEach(function (e) { e.hidden = kind !== "" && e.dataset.kind !== kind; });
  }
  buttons.forEach(function (b) { b.addEventListener("click", function () { show(b.dataset.kind); }); });
  filter.hidden = false;
  // A mark or a bar leads to its event, also when the filter hides it.
  window.addEventListener("hashchange", function () {
    var at = document.getElementById(location.hash.slice(1));
    if (at && at.hidden) { show(""); at.scrollIntoView(); }
  });
  // What an old page says of retention is not to be relied upon.
  var hours = (Date.now() - Date.parse(document.getElementById("made").getAttribute("datetime"))) / 3600000;
  if (hours >= 1) {
    var age = document.getElementById("age");
    age.textContent = "This page is " + (hours < 48 ? Math.floor(hours) + " h" : Math.floor(hours / 24) + " days") +
      " old. Make it again before you decide: dbrollback report --html FILE";
    age.hidden = false;
  }
})();
