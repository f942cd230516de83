// Loaded before the platform (node --require), into its process and its threads: the wall clock is off by what the file says.
const { readFileSync } = require('node:fs');

const file = process.env.FNS_TEST_CLOCK_FILE;
const RealDate = Date;
const realNow = Date.now;
let shiftMs = 0;

function look() {
  try {
    shiftMs = Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    shiftMs = 0;
  }
}

if (file) {
  look();
  setInterval(look, 20).unref();
  globalThis.Date = class extends RealDate {
    constructor(...given) {
      if (given.length === 0) super(realNow() + shiftMs);
      else super(...given);
    }
    static now() {
      return realNow() + shiftMs;
    }
  };
}
