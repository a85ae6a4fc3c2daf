"""Draw faces that a voice suggests, without torch: python examples/draw_with_onnx.py EXPORT me.wav me.png.

EXPORT is a folder that scripts/export.py wrote. Pauses are not cut out here: speak without long ones.
"""

import json
import struct
import sys
import wave
import zlib
from pathlib import Path

import numpy as np
import onnxruntime

if len(sys.argv) != 4:
    sys.exit(__doc__)
folder, recording, out, num, variety = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), 8, 1.0
about = json.loads((folder / "export.json").read_text())
with wave.open(recording) as file:
    if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (about["sample_rate"], 1, 2):
        sys.exit(f"{recording}: a WAV file of {about['sample_rate']} Hz, one channel and 16 bits is needed")
    waveform = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
if len(waveform) < about["min_samples"]:
    sys.exit(f"{recording}: {about['min_samples'] / about['sample_rate']} s or more are needed")

normal = np.random.default_rng(seed=0).standard_normal
inputs = {"waveform": waveform[None]}
if about["sample_noise_size"]:  # the model has a sampler
    inputs["noise"] = normal((1, num, about["sample_noise_size"]), np.float32)
    inputs["variety"] = np.array(variety, np.float32)
features = onnxruntime.InferenceSession(folder / "voice.onnx").run(None, inputs)[-1]
inputs = {"feature": np.resize(features, (num, about["feature_size"]))}
if about["noise_size"]:
    inputs["noise"] = normal((num, about["noise_size"]), np.float32)
images = onnxruntime.InferenceSession(folder / "face.onnx").run(None, inputs)[0]

row = np.round((np.concatenate(list(images), axis=2).transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
height, width, _ = row.shape
header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
pixels = zlib.compress(b"".join(b"\0" + line.tobytes() for line in row))
mark = b"Description\0" + about["notice"].encode()  # says that the picture is synthetic: keep it
chunks = [(b"IHDR", header), (b"tEXt", mark), (b"IDAT", pixels), (b"IEND", b"")]
parts = (
    struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
)
out.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
