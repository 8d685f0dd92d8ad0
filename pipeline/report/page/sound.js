// Sounds: decoded when they are first wanted, played one at a time, and switched without losing the place.
const sounds = (() => {
  let context, source, gain, chip = null, started = 0, from = 0, buffer = null;
  const decoded = new Map();

  const load = (name) => {
    if (!decoded.has(name)) {
      const text = atob(document.getElementById(name).textContent);
      const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
      context ??= new AudioContext();
      decoded.set(name, context.decodeAudioData(bytes.buffer));
    }
    return decoded.get(name);
  };

  const position = () => {
    if (!buffer) return 0;
    if (!source) return from;
    const at = from + context.currentTime - started;
    return source.loop ? at % buffer.duration : Math.min(at, buffer.duration);
  };

  const silence = () => {
    if (!source) return;
    from = position();
    source.onended = null;
    gain.gain.setTargetAtTime(0, context.currentTime, 0.004); // fades, so that nothing clicks
    source.stop(context.currentTime + 0.03);
    source = null;
  };

  const mark = (next) => {
    if (chip && chip !== next) {
      chip.classList.remove("playing");
      chip.setAttribute("aria-pressed", "false");
    }
    chip = next;
    chip?.classList.toggle("playing", Boolean(source));
    chip?.setAttribute("aria-pressed", "true");
  };

  const play = async (next, at, loop) => {
    let sound;
    try {
      sound = await load(next.dataset.sound);
    } catch (error) {
      next.classList.add("broken");
      next.title = `This browser cannot play it: ${error.message}`;
      return;
    }
    if (context.state === "suspended") await context.resume();
    silence();
    buffer = sound;
    from = at === undefined || at >= buffer.duration ? 0 : at;
    source = new AudioBufferSourceNode(context, { buffer, loop });
    gain = new GainNode(context, { gain: 0 });
    gain.gain.setTargetAtTime(Number(next.dataset.gain ?? 1), context.currentTime, 0.004);
    source.connect(gain).connect(context.destination);
    source.start(0, from);
    started = context.currentTime;
    source.onended = () => { source = null; from = 0; mark(chip); };
    mark(next);
  };

  const stop = () => { silence(); mark(chip); };

  return {
    load, play, stop, position, mark,
    get chip() { return chip; },
    get playing() { return Boolean(source); },
    get length() { return buffer?.duration ?? 0; },
    seek(at) { from = at; },
    repeat(loop) { if (source) { from = position(); started = context.currentTime; source.loop = loop; } },
  };
})();

// The buttons: one of them at a time in a rack is in the tab order, the arrow keys go from one to the next.
for (const rack of document.querySelectorAll(".rack")) {
  const chips = [...rack.querySelectorAll(".chip")];
  const studio = rack.closest(".studio");
  chips.forEach((chip, number) => {
    chip.tabIndex = number ? -1 : 0;
    const start = () => {
      const here = sounds.chip && chips.includes(sounds.chip);
      const at = here && "stay" in rack.dataset && (sounds.playing || studio) ? sounds.position() : 0;
      return sounds.play(chip, at, Boolean(studio?.querySelector(".loop").checked));
    };
    chip.addEventListener("click", () => (sounds.playing && sounds.chip === chip ? sounds.stop() : start()));
    chip.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = chips[(number + step + chips.length) % chips.length];
      chip.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      if (sounds.playing && chips.includes(sounds.chip)) next.click();
    });
  });
}
