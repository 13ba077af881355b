// A convenience for the keyboard; the page can be read without it. The timeline becomes one stop of
// the Tab key: arrow keys go from bar to bar and from lane to lane, Escape closes what is shown.
"use strict";
(() => {
  const lanes = [...document.querySelectorAll(".lane ul")]
    .map((lane) => [...lane.querySelectorAll("button")])
    .filter((bars) => bars.length);
  if (!lanes.length) return;
  const scroll = document.querySelector(".scroll");
  let current = lanes[0][0];
  for (const bars of lanes) for (const bar of bars) bar.tabIndex = -1;
  current.tabIndex = 0;
  const left = (bar) => parseFloat(bar.style.left);
  const nearest = (bars, at) =>
    bars.reduce((best, bar) => (Math.abs(left(bar) - at) < Math.abs(left(best) - at) ? bar : best));
  scroll.addEventListener("focusin", (event) => {
    if (!event.target.matches(".lane button")) return;
    current.tabIndex = -1;
    current = event.target;
    current.tabIndex = 0;
  });
  scroll.addEventListener("keydown", (event) => {
    const bar = event.target;
    const y = lanes.findIndex((bars) => bars.includes(bar));
    if (y < 0) return;
    const x = lanes[y].indexOf(bar);
    const next = {
      ArrowLeft: () => lanes[y][x - 1],
      ArrowRight: () => lanes[y][x + 1],
      Home: () => lanes[y][0],
      End: () => lanes[y][lanes[y].length - 1],
      ArrowUp: () => lanes[y - 1] && nearest(lanes[y - 1], left(bar)),
      ArrowDown: () => lanes[y + 1] && nearest(lanes[y + 1], left(bar)),
      Escape: () => bar.blur(),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    next()?.focus();
  });
})();
