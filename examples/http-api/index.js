const { createHash } = require('node:crypto');
const { png } = require('./png.js');

const CELLS = 5;
const CELL = 16;

/** Draws an identicon for the text in the path: the same text, the same picture. */
exports.handler = async (event) => {
  const text = event.pathParameters?.text ?? '';
  const hash = createHash('sha256').update(text).digest();
  const colour = [...hash.subarray(0, 3)];
  const isSet = (x, y) => hash[3 + y * 3 + Math.min(x, CELLS - 1 - x)] & 1;
  const image = png(CELLS * CELL, CELLS * CELL, (x, y) => (isSet(Math.floor(x / CELL), Math.floor(y / CELL)) ? colour : [240, 240, 240]));
  console.log(`badge of ${text.length} signs: ${image.length} bytes`);
  return {
    statusCode: 200,
    headers: { 'content-type': 'image/png', 'cache-control': 'public, max-age=86400' },
    body: image.toString('base64'),
    isBase64Encoded: true,
  };
};
