// Links open the sections they point to; the contents fold on small screens; animations start on a click.
(() => {
  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.matches("details") && !target.open) {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  const button = document.querySelector("nav .contents");
  const expand = (isExpanded) => button.setAttribute("aria-expanded", isExpanded);
  button.addEventListener("click", () => expand(button.getAttribute("aria-expanded") !== "true"));
  document.getElementById("index").addEventListener("click", (event) => event.target.closest("a") && expand(false));
  document.addEventListener("keydown", (event) => event.key === "Escape" && expand(false));

  for (const animate of document.querySelectorAll(".animate")) {
    const image = animate.parentElement.querySelector("img"), lastFrame = image.src;
    animate.addEventListener("click", () => {
      const starts = animate.getAttribute("aria-pressed") !== "true";
      image.src = starts ? animate.dataset.animation : lastFrame;
      animate.setAttribute("aria-pressed", starts);
      animate.textContent = starts ? "❚❚ Stop" : "▶ Animate";
    });
  }
})();
