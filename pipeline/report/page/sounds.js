// Playback: sounds are decoded on first use, play one at a time, and switch at the same position.
const sounds = (() => {
  let context, source, gain, selected = null, startTime = 0, startPosition = 0, buffer = null;
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
    if (!source) return startPosition;
    const seconds = startPosition + context.currentTime - startTime;
    return source.loop ? seconds % buffer.duration : Math.min(seconds, buffer.duration);
  };

  const silence = () => {
    if (!source) return;
    startPosition = position();
    source.onended = null;
    gain.gain.setTargetAtTime(0, context.currentTime, 0.004); // a fade avoids clicks
    source.stop(context.currentTime + 0.03);
    source = null;
  };

  const select = (clip) => {
    selected?.classList.remove("playing");
    selected?.setAttribute("aria-pressed", "false");
    selected = clip;
    selected?.classList.toggle("playing", Boolean(source));
    selected?.setAttribute("aria-pressed", "true");
  };

  const play = async (clip, seconds, loop) => {
    let loaded;
    try {
      loaded = await load(clip.dataset.sound);
    } catch (error) {
      clip.classList.add("broken");
      clip.title = `This browser cannot play it: ${error.message}`;
      return;
    }
    if (context.state === "suspended") await context.resume();
    silence();
    buffer = loaded;
    startPosition = seconds === undefined || seconds >= buffer.duration ? 0 : seconds;
    source = new AudioBufferSourceNode(context, { buffer, loop });
    gain = new GainNode(context, { gain: 0 });
    gain.gain.setTargetAtTime(Number(clip.dataset.gain ?? 1), context.currentTime, 0.004);
    source.connect(gain).connect(context.destination);
    source.start(0, startPosition);
    startTime = context.currentTime;
    source.onended = () => { source = null; startPosition = 0; select(selected); };
    select(clip);
  };

  const stop = () => { silence(); select(selected); };

  return {
    load, play, stop, position, select,
    get selected() { return selected; },
    get isPlaying() { return Boolean(source); },
    get duration() { return buffer?.duration ?? 0; },
    seek(seconds) { startPosition = seconds; },
    repeat(loop) { if (source) { startPosition = position(); startTime = context.currentTime; source.loop = loop; } },
  };
})();

// One button of each group is in the tab order; the arrow keys move to the next one.
for (const group of document.querySelectorAll(".clips")) {
  const clips = [...group.querySelectorAll(".clip")];
  const player = group.closest(".player");
  clips.forEach((clip, number) => {
    clip.tabIndex = number ? -1 : 0;
    const start = () => {
      const keeps = "keepPosition" in group.dataset && clips.includes(sounds.selected) && (sounds.isPlaying || player);
      return sounds.play(clip, keeps ? sounds.position() : 0, Boolean(player?.querySelector(".loop").checked));
    };
    clip.addEventListener("click", () => (sounds.isPlaying && sounds.selected === clip ? sounds.stop() : start()));
    clip.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = clips[(number + step + clips.length) % clips.length];
      clip.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      if (sounds.isPlaying && clips.includes(sounds.selected)) next.click();
    });
  });
}
