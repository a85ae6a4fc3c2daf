// From a recording to drawings, as wav2face does it in Python: level, cut silence, regress, sample, draw.
import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("ort/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more threads need headers that a plain file server does not send

// data/media/loudness.py
const LEVEL = 10 ** (-26 / 20);
const SILENT = 10 ** (-70 / 20);
const PEAK = 0.99;
const MAX_OFFSET = 0.1;

// data/media/voice_activity.py and silero-vad's defaults; lengths in samples at 16 kHz.
const FRAME = 512;
const CONTEXT = 64;
const ENTER = 0.5;
const LEAVE = 0.35;
const MIN_SPEECH = 4000;
const MIN_SILENCE = 1600;
const MARGIN = 1600;

export async function load() {
  const about = await (await fetch("export.json")).json();
  const names = ["voice.onnx", "face.onnx", "speech.onnx"];
  const [voice, face, speech] = await Promise.all(names.map((name) => ort.InferenceSession.create(name)));
  const model = new Model(about, voice, face, speech);
  // The first run takes seconds, in which the browser compiles: better now than when somebody has spoken.
  const silence = new Float32Array(about.sample_rate);
  await model.speechProbabilities(silence);
  await model.draw(silence, 1, 0, 0);
  return model;
}

class Model {
  constructor(about, voice, face, speech) {
    Object.assign(this, { about, voice, face, speech });
  }

  // From a Float32Array at 16 kHz to what the model hears; throws an Error with one line for the user.
  async prepare(waveform) {
    if (rootMeanSquare(removeOffset(waveform)) < SILENT) throw new Error("The recording is silent.");
    const levelled = levelLoudness(waveform);
    const spans = findSpeech(await this.speechProbabilities(levelled), levelled.length);
    const speech = new Float32Array(spans.reduce((sum, { start, end }) => sum + end - start, 0));
    let at = 0;
    for (const { start, end } of spans) {
      speech.set(levelled.subarray(start, end), at);
      at += end - start;
    }
    if (!at) throw new Error("No speech was found in the recording.");
    if (at < this.about.min_samples) throw new Error("There is too little speech in the recording: speak for longer.");
    return speech;
  }

  // [num * 3 * S * S] in [-1, 1] for prepared speech.
  async draw(speech, num, variety, seed) {
    const { feature_size, sample_noise_size, noise_size } = this.about;
    const normal = normalNumbers(seed);
    const inputs = { waveform: tensor(speech, [1, speech.length]) };
    if (sample_noise_size) {
      inputs.noise = tensor(normal(num * sample_noise_size), [1, num, sample_noise_size]);
      inputs.variety = tensor(Float32Array.of(variety), []);
    }
    const { feature, samples } = await this.voice.run(inputs);
    const features = samples?.data ?? Float32Array.from({ length: num * feature_size }, (_, i) => feature.data[i % feature_size]);
    const faceInputs = { feature: tensor(features, [num, feature_size]) };
    if (noise_size) faceInputs.noise = tensor(normal(num * noise_size), [num, noise_size]);
    return (await this.face.run(faceInputs)).image.data;
  }

  // Probability of speech in each 32 ms.
  async speechProbabilities(waveform) {
    const count = Math.ceil(waveform.length / FRAME);
    const padded = new Float32Array(CONTEXT + count * FRAME);
    padded.set(waveform, CONTEXT);
    const frames = new Float32Array(count * (CONTEXT + FRAME));
    for (let i = 0; i < count; i++) {
      frames.set(padded.subarray(i * FRAME, (i + 1) * FRAME + CONTEXT), i * (CONTEXT + FRAME));
    }
    const zeros = () => tensor(new Float32Array(128), [1, 1, 128]);
    const inputs = { input: tensor(frames, [count, CONTEXT + FRAME]), h: zeros(), c: zeros() };
    return (await this.speech.run(inputs)).speech_probs.data;
  }
}

function tensor(data, shape) {
  return new ort.Tensor("float32", data, shape);
}

function rootMeanSquare(waveform) {
  return Math.sqrt(waveform.reduce((sum, value) => sum + value * value, 0) / Math.max(1, waveform.length));
}

function removeOffset(waveform) {
  const mean = waveform.reduce((sum, value) => sum + value, 0) / Math.max(1, waveform.length);
  const variance = Math.max(0, rootMeanSquare(waveform) ** 2 - mean ** 2);
  return mean ** 2 <= MAX_OFFSET ** 2 * variance ? waveform : waveform.map((value) => value - mean);
}

function levelLoudness(waveform) {
  const centred = removeOffset(waveform);
  const peak = centred.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const gain = Math.min(LEVEL / rootMeanSquare(centred), PEAK / peak);
  return centred.map((value) => value * gain);
}

// silero-vad's get_speech_timestamps without a longest speech.
function findSpeech(probabilities, length) {
  const spans = [];
  let start = -1;
  let silence = 0; // where the silence within speech began; 0 for none
  probabilities.forEach((probability, i) => {
    const at = i * FRAME;
    if (probability >= ENTER) {
      silence = 0;
      if (start < 0) start = at;
    } else if (probability < LEAVE && start >= 0) {
      silence ||= at;
      if (at - silence < MIN_SILENCE) return;
      if (silence - start > MIN_SPEECH) spans.push({ start, end: silence });
      start = -1;
      silence = 0;
    }
  });
  if (start >= 0 && length - start > MIN_SPEECH) spans.push({ start, end: length });
  spans.forEach((span, i) => {
    if (i === 0) span.start = Math.max(0, span.start - MARGIN);
    const next = spans[i + 1];
    const gap = next ? next.start - span.end : 2 * MARGIN;
    const margin = gap < 2 * MARGIN ? Math.floor(gap / 2) : MARGIN;
    span.end = Math.min(length, span.end + margin);
    if (next) next.start = Math.max(0, next.start - margin);
  });
  return spans;
}

// Standard normal numbers that a seed repeats: mulberry32, then Box and Muller's transform.
export function normalNumbers(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return (count) => Float32Array.from({ length: count }, normal);
}
