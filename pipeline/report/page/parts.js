// Parts open when a link leads to them; the contents fold on small screens; animations run when they are asked to.
(() => {
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.matches("details") && !target.open) {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();

  const button = document.querySelector("nav .contents");
  const fold = (shown) => button.setAttribute("aria-expanded", shown);
  button.addEventListener("click", () => fold(button.getAttribute("aria-expanded") !== "true"));
  document.getElementById("index").addEventListener("click", (event) => event.target.closest("a") && fold(false));
  document.addEventListener("keydown", (event) => event.key === "Escape" && fold(false));

  for (const animate of document.querySelectorAll(".animate")) {
    const image = animate.parentElement.querySelector("img"), still = image.src;
    animate.addEventListener("click", () => {
      const moves = animate.getAttribute("aria-pressed") !== "true";
      image.src = moves ? animate.dataset.moving : still;
      animate.setAttribute("aria-pressed", moves);
      animate.textContent = moves ? "❚❚ Stop" : "▶ Animate";
    });
  }
})();
