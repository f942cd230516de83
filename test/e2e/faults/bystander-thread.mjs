// Calls one function again and again from a thread of its own, so that what the test itself does is not taken for the platform's doing.
import { Agent, request } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

const { url, key, pauseMs, leastCalls } = workerData;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let isOver = false;

function call(payload) {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({ payload });
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': body.length };
    request(url, { method: 'POST', agent, headers }, (answer) => {
      let text = '';
      answer
        .setEncoding('utf8')
        .on('data', (piece) => {
          text += piece;
        })
        .on('end', () => resolve({ status: answer.statusCode, text }))
        .on('error', reject);
    })
      .on('error', reject)
      .end(body);
  });
}

async function p95() {
  const times = [];
  while (!isOver || times.length < leastCalls) {
    const startedAt = performance.now();
    const { status, text } = await call(times.length);
    times.push(performance.now() - startedAt);
    if (status !== 200 || JSON.parse(text).result !== times.length - 1)
      throw new Error(`The bystander got ${status} ${text.slice(0, 300)}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return Math.round(times.sort((a, b) => a - b)[Math.floor(times.length * 0.95)]);
}

parentPort.on('message', () => {
  isOver = true;
});
p95()
  .then(
    (ms) => parentPort.postMessage({ ms }),
    (error) => parentPort.postMessage({ error: error.message }),
  )
  .finally(() => {
    agent.destroy();
    parentPort.close();
  });
