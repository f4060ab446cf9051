"use strict";
// The page works without this: it opens the step that a link names, moves
// between the tree's steps by arrow keys, and back to the tree by Escape.
(() => {
  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || !target.classList.contains("step")) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView({ block: "start" });
    target.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", openTarget);
  openTarget();
  // The browser's own jump to the fragment takes the focus away again.
  addEventListener("load", () => setTimeout(openTarget));

  const nodes = [...document.querySelectorAll("svg a.step")];
  if (!nodes.length) return;
  // The same step twice in a row changes no hash, so open it by hand.
  for (const node of nodes) {
    node.addEventListener("click", () => {
      if (node.getAttribute("href") === location.hash) openTarget();
    });
  }
  // From a step back to its mark.
  addEventListener("keydown", (event) => {
    const step = event.key === "Escape" && document.activeElement.closest("details.step");
    const node = step && nodes.find((node) => node.getAttribute("href") === "#" + step.id);
    if (!node) return;
    rove(node);
    node.focus();
  });
  // One tab stop for the whole tree; arrows move within.
  const rove = (node) => {
    for (const other of nodes) other.setAttribute("tabindex", other === node ? "0" : "-1");
  };
  rove(nodes[0]);
  const place = (node) => [Number(node.dataset.c), Number(node.dataset.l)];
  const directions = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  document.querySelector(".canvas").addEventListener("keydown", (event) => {
    const direction = directions[event.key];
    const from = event.target.closest("a.step");
    if (!direction || !from) return;
    event.preventDefault();
    const [c, l] = place(from);
    let best = null;
    let bestCost = Infinity;
    for (const node of nodes) {
      const dc = place(node)[0] - c;
      const dl = place(node)[1] - l;
      const along = dc * direction[0] + dl * direction[1];
      const across = Math.abs(dc * direction[1]) + Math.abs(dl * direction[0]);
      if (along <= 0) continue;
      const cost = along + 3 * across;
      if (cost < bestCost) [best, bestCost] = [node, cost];
    }
    if (best) {
      rove(best);
      best.focus();
    }
  });
})();
