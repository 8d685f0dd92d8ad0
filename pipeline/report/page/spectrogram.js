// The studio: which seconds, the transport, and the spectrogram of what is chosen with a line where it plays.
(() => {
  const studio = document.getElementById("studio");
  if (!studio) return;
  const canvas = studio.querySelector("canvas"), head = studio.querySelector(".head");
  const play = studio.querySelector(".play"), slider = studio.querySelector("[type=range]");
  const racks = [...studio.querySelectorAll(".rack")], examples = [...studio.querySelectorAll(".examples button")];
  const SIZE = 1024, LOWEST = 60, HIGHEST = 11025, RANGE = 80;
  let rack = racks[0], chosen = rack.querySelector(".chip"), drawn = null, length = 1;

  const transform = (re, im) => { // radix 2, in place
    const n = re.length;
    for (let i = 1, j = 0; i < n; i++) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) { [re[i], re[j]] = [re[j], re[i]]; }
    }
    for (let half = 1; half < n; half *= 2) {
      for (let k = 0; k < half; k++) {
        const c = Math.cos(Math.PI * k / half), s = -Math.sin(Math.PI * k / half);
        for (let a = k; a < n; a += 2 * half) {
          const b = a + half, x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
          re[b] = re[a] - x; im[b] = im[a] - y; re[a] += x; im[a] += y;
        }
      }
    }
  };

  const colour = (v) => { // dark blue over magenta to light yellow, like the figures
    const stops = [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];
    const at = Math.max(0, Math.min(0.9999, v)) * (stops.length - 1), i = Math.floor(at), f = at - i;
    return stops[i].map((low, k) => low + f * (stops[i + 1][k] - low));
  };

  const draw = (buffer) => {
    const x = buffer.getChannelData(0), rate = buffer.sampleRate, { width, height } = canvas;
    const pen = canvas.getContext("2d"), picture = pen.createImageData(width, height);
    const re = new Float32Array(SIZE), im = new Float32Array(SIZE);
    for (let column = 0; column < width; column++) {
      const middle = Math.floor((column + 0.5) / width * x.length);
      for (let i = 0; i < SIZE; i++) {
        re[i] = (x[middle + i - SIZE / 2] ?? 0) * (0.5 - 0.5 * Math.cos(2 * Math.PI * i / SIZE));
        im[i] = 0;
      }
      transform(re, im);
      for (let row = 0; row < height; row++) {
        const hertz = LOWEST * (HIGHEST / LOWEST) ** (1 - row / height), bin = Math.min(SIZE / 2 - 1, hertz * SIZE / rate);
        const low = Math.floor(bin), part = bin - low;
        const power = (k) => re[k] ** 2 + im[k] ** 2;
        const db = 10 * Math.log10(((1 - part) * power(low) + part * power(low + 1)) / (SIZE / 4) ** 2 + 1e-12);
        picture.data.set([...colour((db + RANGE + 10) / RANGE), 255], 4 * (row * width + column));
      }
    }
    pen.putImageData(picture, 0, 0);
  };

  const show = async () => {
    const chip = chosen;
    try {
      const buffer = await sounds.load(chip.dataset.sound);
      if (chip !== chosen || chip === drawn) return;
      length = buffer.duration;
      draw(buffer);
      drawn = chip;
    } catch { chip.classList.add("broken"); }
    canvas.setAttribute("aria-label", `Spectrogram of ${chip.title}`);
    studio.querySelector(".now").textContent = chip.title;
  };

  const place = (at) => {
    slider.value = 1000 * at / length;
    slider.setAttribute("aria-valuetext", `${at.toFixed(1)} seconds`);
    head.style.left = `${100 * at / length}%`;
    studio.querySelector(".time").textContent = `${at.toFixed(1)} of ${length.toFixed(1)} s`;
  };

  const own = () => sounds.chip && rack.contains(sounds.chip);
  const current = () => (own() ? sounds.chip : chosen); // what was clicked a moment ago is not drawn yet
  let resting = 0;
  const follow = () => {
    const here = own(), chip = sounds.chip;
    if (here && chip !== chosen) { chosen = chip; show(); }
    if (here && sounds.playing) resting = sounds.position();
    place(Math.min(resting, length));
    play.textContent = here && sounds.playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", here && sounds.playing ? "Pause" : "Play");
    if (chip && !here && sounds.playing) chip.style.setProperty("--done", `${100 * sounds.position() / sounds.length}%`);
    requestAnimationFrame(follow);
  };

  const seek = (at) => {
    resting = at;
    sounds.seek(at);
    if (own() && sounds.playing) sounds.play(current(), at, studio.querySelector(".loop").checked);
  };

  play.addEventListener("click", () =>
    (own() && sounds.playing ? sounds.stop() : sounds.play(current(), resting, studio.querySelector(".loop").checked)));
  slider.addEventListener("input", () => seek(slider.value / 1000 * length));
  studio.querySelector(".stage").addEventListener("click", (event) => seek(event.offsetX / canvas.clientWidth * length));
  studio.querySelector(".loop").addEventListener("change", (event) => own() && sounds.repeat(event.target.checked));
  examples.forEach((button, number) => button.addEventListener("click", () => {
    const was = [...rack.querySelectorAll(".chip")].indexOf(current()), plays = own() && sounds.playing;
    sounds.stop();
    examples.forEach((other) => other.setAttribute("aria-pressed", other === button));
    racks.forEach((other, i) => { other.hidden = i !== number; });
    rack = racks[number];
    const chips = rack.querySelectorAll(".chip");
    chosen = chips[was] ?? chips[0]; // the same variant of other seconds
    resting = 0;
    if (plays) sounds.play(chosen, 0, studio.querySelector(".loop").checked); else sounds.mark(chosen);
    show();
  }));

  new IntersectionObserver((entries, observer) => { // nothing is decoded before it is seen
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    sounds.mark(chosen);
    show();
    requestAnimationFrame(follow);
  }).observe(studio);
})();
