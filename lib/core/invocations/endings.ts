import type { RequestId } from '../ids.js';
import { type Head, TERMINAL } from './model.js';

type Listener = (head: Head) => void;

/** Tells those who wait that an invocation has come to its end in this process. */
export class Endings {
  private readonly listeners: Listener[] = [];
  private readonly waiting = new Map<RequestId, Set<Listener>>();

  onEnd(listener: Listener): void {
    this.listeners.push(listener);
  }

  /** Calls `listener` at the end of this invocation; the returned function stops waiting. */
  wait(requestId: RequestId, listener: Listener): () => void {
    const set = this.waiting.get(requestId) ?? new Set();
    set.add(listener);
    this.waiting.set(requestId, set);
    return () => {
      set.delete(listener);
      if (set.size === 0) this.waiting.delete(requestId);
    };
  }

  announce(head: Head): void {
    if (!TERMINAL.has(head.state)) return;
    for (const listener of this.listeners) listener(head);
    if (this.waiting.size === 0) return;
    const set = this.waiting.get(head.requestId);
    if (!set) return;
    this.waiting.delete(head.requestId);
    for (const listener of set) listener(head);
  }
}
