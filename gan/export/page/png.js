// PNG files that say they are synthetic, as `save_drawing` writes them in Python.

// [3 * S * S] in [-1, 1] to a Blob with the notice in a text chunk.
export async function toMarkedPng(values, size, notice) {
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    for (let channel = 0; channel < 3; channel++) {
      pixels.data[4 * i + channel] = Math.round((values[channel * size * size + i] + 1) * 127.5);
    }
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  const png = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
  const header = 33; // signature and IHDR, which is always the first chunk
  return new Blob([png.subarray(0, header), textChunk("Description", notice), png.subarray(header)], { type: "image/png" });
}

// An iTXt chunk, neither compressed nor translated.
function textChunk(keyword, text) {
  const body = new TextEncoder().encode(`iTXt${keyword}\0\0\0\0\0${text}`);
  const chunk = new Uint8Array(body.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length - 4);
  chunk.set(body, 4);
  view.setUint32(body.length + 4, checksum(body));
  return chunk;
}

// CRC-32 of PNG.
function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
