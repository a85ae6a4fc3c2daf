// The page: records or reads a recording, and shows its drawings whenever a setting changes.
import { load } from "./model.js";
import { toMarkedPng } from "./png.js";

const MAX_SECONDS = 60;
const MAX_BYTES = 50e6; // the browser decodes a file as a whole
const element = (id) => document.getElementById(id);
export const loading = load();
let speech = null; // what was heard last
let turn = 0; // drawings of an older turn are dropped

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").className = isError ? "error" : "";
}

// Decodes whatever the browser can, as mono at the model's sample rate.
async function decode(blob, sampleRate) {
  if (blob.size > MAX_BYTES) throw new Error(`The file is too large: at most ${MAX_BYTES / 1e6} MB are read.`);
  const context = new OfflineAudioContext(1, 1, sampleRate);
  let sound;
  try {
    sound = await context.decodeAudioData(await blob.arrayBuffer());
  } catch {
    throw new Error("This browser can't read the sound of that file.");
  }
  const length = Math.min(sound.length, MAX_SECONDS * sampleRate);
  const mono = new Float32Array(length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    const values = sound.getChannelData(channel);
    for (let i = 0; i < length; i++) mono[i] += values[i] / sound.numberOfChannels;
  }
  return mono;
}

async function hear(blob) {
  say("Listening ...");
  const begun = performance.now();
  speech = null;
  turn++;
  element("drawings").replaceChildren();
  const model = await loading;
  speech = await model.prepare(await decode(blob, model.about.sample_rate));
  await draw(begun);
}

async function draw(begun = performance.now()) {
  if (!speech) return;
  const current = ++turn;
  const model = await loading;
  const number = Number(element("number").value);
  const images = await model.draw(speech, number, Number(element("variety").value), Number(element("seed").value));
  const size = model.about.image_size;
  const pictures = [];
  for (let i = 0; i < number; i++) {
    const values = images.subarray(i * 3 * size * size, (i + 1) * 3 * size * size);
    const picture = new Image();
    picture.alt = "a drawing: a plausible face, not the speaker";
    picture.src = URL.createObjectURL(await toMarkedPng(values, size, model.about.notice));
    await picture.decode();
    URL.revokeObjectURL(picture.src);
    pictures.push(picture);
  }
  if (current !== turn) return;
  element("drawings").replaceChildren(...pictures);
  const seconds = (speech.length / model.about.sample_rate).toFixed(1);
  say(`${number} drawings of ${seconds} s of speech in ${Math.round(performance.now() - begun)} ms`);
}

// Runs one thing after another, and shows errors as the one line they are.
let queue = Promise.resolve();
function run(task) {
  queue = queue.then(task).catch((error) => say(error.message, true));
}

async function record() {
  const button = element("record");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    throw new Error("There is no microphone, or this page may not use it.");
  }
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    clearTimeout(limit);
    stream.getTracks().forEach((track) => track.stop());
    button.textContent = "Record";
    button.onclick = () => run(record);
    run(() => hear(new Blob(parts, { type: recorder.mimeType })));
  };
  const limit = setTimeout(() => recorder.stop(), MAX_SECONDS * 1000);
  button.textContent = "Stop";
  button.onclick = () => recorder.stop();
  recorder.start();
  say("Recording: speak for some seconds, then press Stop.");
}

element("record").onclick = () => run(record);
element("file").onchange = () => {
  const [file] = element("file").files;
  if (file) run(() => hear(file));
};
for (const id of ["variety", "number", "seed"]) {
  const show = () => {
    const output = document.querySelector(`output[for=${id}]`);
    if (output) output.textContent = element(id).value;
  };
  show();
  element(id).oninput = () => {
    show();
    run(() => draw());
  };
}

run(async () => {
  const { about } = await loading;
  element("variety-label").hidden = !about.sample_noise_size;
  element("record").disabled = element("file").disabled = false;
  say("Ready.");
});
