import { parentPort } from 'node:worker_threads';
import type { JsonQuestion, JsonReply } from '../json/protocol.js';
import { isJson, readEnvelope } from '../json/text.js';

/** The far side of JsonThread: one question, one reply, in order. */
function answerTo(question: JsonQuestion): JsonReply['answer'] {
  if (question.ask === 'isJson') return isJson(question.text);
  const { buffer, byteOffset, byteLength } = question.bytes;
  return readEnvelope(Buffer.from(buffer, byteOffset, byteLength));
}

parentPort?.on('message', (question: JsonQuestion) => {
  parentPort?.postMessage({ id: question.id, answer: answerTo(question) } satisfies JsonReply);
});
