import { setImmediate as turn } from 'node:timers/promises';
import { type Block, pack, readBlock, readIndex, readPacked, type Segment, SegmentWriter } from './segment.js';
import { BLOCK_CHARS } from './tail.js';

/** Archived blocks are larger, for brotli finds more to share; still small enough to search one by one. */
const ARCHIVE_BLOCK_CHARS = 4 * BLOCK_CHARS;

/**
 * Several neighbouring segments as one: copied as they are, or compressed anew for the archive. Lets other work of
 * the thread run between blocks. A damaged block is left out and counted.
 */
export async function mergeSegments(
  inputs: Segment[],
  folder: string,
  to: 'hot' | 'archive',
): Promise<{ merged?: Segment; damaged: number }> {
  const writer = new SegmentWriter(folder);
  let damaged = 0;
  try {
    const { owners, unreadable } = blocksByOwner(inputs);
    damaged += unreadable;
    let written = 0;
    for (const [owner, parts] of owners) {
      for await (const add of to === 'hot' ? copied(parts) : recompressed(owner, parts)) {
        if (add) written += 1;
        else damaged += 1;
        add?.(writer);
      }
    }
    if (written > 0) return { merged: writer.finish(), damaged };
    writer.abandon();
    return { damaged };
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

interface Part {
  path: string;
  block: Block;
}

function blocksByOwner(inputs: Segment[]): { owners: Map<string, Part[]>; unreadable: number } {
  const owners = new Map<string, Part[]>();
  let unreadable = 0;
  for (const segment of inputs) {
    try {
      for (const [owner, blocks] of readIndex(segment)) {
        const parts = owners.get(owner) ?? [];
        owners.set(owner, parts);
        parts.push(...blocks.map((block) => ({ path: segment.path, block })));
      }
    } catch {
      unreadable += 1;
    }
  }
  return { owners, unreadable };
}

/** Undefined stands for a block that could not be read. */
type Add = ((writer: SegmentWriter) => void) | undefined;

async function* copied(parts: Part[]): AsyncGenerator<Add> {
  for (const { path, block } of parts) {
    await turn();
    const packed = attempt(() => readPacked(path, block));
    yield packed && ((writer) => writer.add(packed, block));
  }
}

async function* recompressed(owner: string, parts: Part[]): AsyncGenerator<Add> {
  let held: Block[] = [];
  let text = '';
  const flush = (): Add => {
    const [whole, of] = [text, held];
    [text, held] = ['', []];
    const span = {
      firstSeq: (of[0] as Block).firstSeq,
      lastSeq: (of.at(-1) as Block).lastSeq,
      fromMs: Math.min(...of.map(({ fromMs }) => fromMs)),
      toMs: Math.max(...of.map(({ toMs }) => toMs)),
    };
    return (writer) => writer.add(pack(whole, 'brotli'), { owner, codec: 'brotli', ...span });
  };
  for (const { path, block } of parts) {
    await turn();
    const more = attempt(() => readBlock(path, block));
    if (more === undefined) yield undefined;
    else {
      text += more;
      held.push(block);
      if (text.length >= ARCHIVE_BLOCK_CHARS) yield flush();
    }
  }
  if (held.length > 0) yield flush();
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
