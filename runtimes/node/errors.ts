import type { ErrorInfo } from '../../lib/core/invocations/model.js';

const MESSAGE_CHARS = 32 * 1024;
const STACK_LINES = 50;
const LINE_CHARS = 1024;

/** Frames of the bootstrap and of Node itself say nothing to the tenant. */
const OURS = /runtime-node\.js|node:internal|\(node:async_hooks|\(node:vm/;

/** Whatever tenant code threw, as an error that can be shown. Never throws: getters of hostile objects may. */
export function errorInfo(thrown: unknown, fallbackType = 'Error'): ErrorInfo {
  try {
    if (isErrorLike(thrown)) return fromError(thrown, fallbackType);
    const type = thrown === null ? 'null' : typeof thrown;
    return { type, message: cut(typeof thrown === 'object' && thrown !== null ? asJson(thrown) : String(thrown)), stack: [] };
  } catch {
    return { type: fallbackType, message: 'What the function threw cannot be shown.', stack: [] };
  }
}

interface ErrorLike {
  name?: unknown;
  message?: unknown;
  stack?: unknown;
}

const isErrorLike = (thrown: unknown): thrown is ErrorLike =>
  thrown instanceof Error || (typeof thrown === 'object' && thrown !== null && 'message' in thrown && 'stack' in thrown);

function fromError(error: ErrorLike, fallbackType: string): ErrorInfo {
  const { name, message, stack } = error;
  return {
    type: typeof name === 'string' && name !== '' ? name.slice(0, 256) : fallbackType,
    message: cut(typeof message === 'string' ? message : String(message)),
    stack: typeof stack === 'string' ? stackLines(stack) : [],
  };
}

const stackLines = (stack: string): string[] =>
  stack
    .slice(0, MESSAGE_CHARS)
    .split('\n')
    .filter((line) => !OURS.test(line))
    .slice(0, STACK_LINES)
    .map((line) => line.slice(0, LINE_CHARS));

const asJson = (value: object): string => JSON.stringify(value) ?? String(value);

const cut = (text: string): string => (text.length > MESSAGE_CHARS ? `${text.slice(0, MESSAGE_CHARS)}…` : text);
