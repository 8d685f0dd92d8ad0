// The player: excerpts, transport, and the spectrogram of the selected clip with a line at the playback position.
(() => {
  const player = document.getElementById("player");
  if (!player) return;
  const canvas = player.querySelector("canvas"), playhead = player.querySelector(".playhead");
  const play = player.querySelector(".play"), slider = player.querySelector("[type=range]");
  const loop = player.querySelector(".loop");
  const groups = [...player.querySelectorAll(".clips")], examples = [...player.querySelectorAll(".examples button")];
  const FFT_SIZE = 1024, LOWEST_HZ = 60, HIGHEST_HZ = 11025, RANGE_DB = 80;
  let group = groups[0], selected = group.querySelector(".clip"), drawn = null, duration = 1;

  const fft = (re, im) => { // radix 2, in place
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

  const colour = (v) => { // from dark blue through magenta to light yellow, like the figures
    const stops = [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];
    const at = Math.max(0, Math.min(0.9999, v)) * (stops.length - 1), i = Math.floor(at), f = at - i;
    return stops[i].map((low, k) => low + f * (stops[i + 1][k] - low));
  };

  const draw = (buffer) => {
    const x = buffer.getChannelData(0), rate = buffer.sampleRate, { width, height } = canvas;
    const pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
    const re = new Float32Array(FFT_SIZE), im = new Float32Array(FFT_SIZE);
    const power = (k) => re[k] ** 2 + im[k] ** 2;
    for (let column = 0; column < width; column++) {
      const centre = Math.floor((column + 0.5) / width * x.length);
      for (let i = 0; i < FFT_SIZE; i++) {
        re[i] = (x[centre + i - FFT_SIZE / 2] ?? 0) * (0.5 - 0.5 * Math.cos(2 * Math.PI * i / FFT_SIZE));
        im[i] = 0;
      }
      fft(re, im);
      for (let row = 0; row < height; row++) {
        const hertz = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (1 - row / height);
        const bin = Math.min(FFT_SIZE / 2 - 1, hertz * FFT_SIZE / rate), low = Math.floor(bin), fraction = bin - low;
        const mixed = (1 - fraction) * power(low) + fraction * power(low + 1);
        const db = 10 * Math.log10(mixed / (FFT_SIZE / 4) ** 2 + 1e-12);
        image.data.set([...colour((db + RANGE_DB + 10) / RANGE_DB), 255], 4 * (row * width + column));
      }
    }
    pen.putImageData(image, 0, 0);
  };

  const show = async () => {
    const clip = selected;
    try {
      const buffer = await sounds.load(clip.dataset.sound);
      if (clip !== selected || clip === drawn) return;
      duration = buffer.duration;
      draw(buffer);
      drawn = clip;
    } catch { clip.classList.add("broken"); }
    canvas.setAttribute("aria-label", `Spectrogram of ${clip.title}`);
    player.querySelector(".selected-title").textContent = clip.title;
  };

  const showPosition = (seconds) => {
    slider.value = 1000 * seconds / duration;
    slider.setAttribute("aria-valuetext", `${seconds.toFixed(1)} seconds`);
    playhead.style.left = `${100 * seconds / duration}%`;
    player.querySelector(".time").textContent = `${seconds.toFixed(1)} of ${duration.toFixed(1)} s`;
  };

  const isOurs = () => sounds.selected && group.contains(sounds.selected); // not a clip of a variant's section
  const current = () => (isOurs() ? sounds.selected : selected); // a clip that was just clicked is not drawn yet
  let position = 0;
  const update = () => {
    const ours = isOurs(), clip = sounds.selected;
    if (ours && clip !== selected) { selected = clip; show(); }
    if (ours && sounds.isPlaying) position = sounds.position();
    showPosition(Math.min(position, duration));
    play.textContent = ours && sounds.isPlaying ? "❚❚" : "▶";
    play.setAttribute("aria-label", ours && sounds.isPlaying ? "Pause" : "Play");
    if (clip && !ours && sounds.isPlaying) clip.style.setProperty("--done", `${100 * sounds.position() / sounds.duration}%`);
    requestAnimationFrame(update);
  };

  const seek = (seconds) => {
    position = seconds;
    sounds.seek(seconds);
    if (isOurs() && sounds.isPlaying) sounds.play(current(), seconds, loop.checked);
  };

  play.addEventListener("click", () =>
    (isOurs() && sounds.isPlaying ? sounds.stop() : sounds.play(current(), position, loop.checked)));
  slider.addEventListener("input", () => seek(slider.value / 1000 * duration));
  canvas.parentElement.addEventListener("click", (event) => seek(event.offsetX / canvas.clientWidth * duration));
  loop.addEventListener("change", () => isOurs() && sounds.repeat(loop.checked));
  examples.forEach((button, number) => button.addEventListener("click", () => {
    const index = [...group.querySelectorAll(".clip")].indexOf(current()), plays = isOurs() && sounds.isPlaying;
    sounds.stop();
    examples.forEach((example) => example.setAttribute("aria-pressed", example === button));
    groups.forEach((versions, i) => { versions.hidden = i !== number; });
    group = groups[number];
    const clips = group.querySelectorAll(".clip");
    selected = clips[index] ?? clips[0]; // the same variant in the other excerpt
    position = 0;
    if (plays) sounds.play(selected, 0, loop.checked); else sounds.select(selected);
    show();
  }));

  new IntersectionObserver((entries, observer) => { // decode nothing before the player is visible
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    sounds.select(selected);
    show();
    requestAnimationFrame(update);
  }).observe(player);
})();
