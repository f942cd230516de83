import { statfs } from 'node:fs/promises';

const LOOK_EVERY_MS = 1000;

/** Looks once a second whether the disk of the data folder has room, so that accepts stop before a write can fail. */
export class DiskRoom {
  #timer: NodeJS.Timeout | undefined;
  #freeBytes = Number.POSITIVE_INFINITY;

  constructor(
    private readonly folder: string,
    private readonly floorBytes: number,
    private readonly onChange: () => void,
  ) {}

  async start(): Promise<void> {
    await this.#look();
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Why nothing new is taken in, if so. */
  shortage(): string | undefined {
    if (this.#freeBytes >= this.floorBytes) return undefined;
    return `the disk has ${megabytes(this.#freeBytes)} MB free, and new work is taken from ${megabytes(this.floorBytes)} MB on`;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const before = this.shortage() === undefined;
    try {
      const { bavail, bsize } = await statfs(this.folder);
      this.#freeBytes = bavail * bsize;
    } catch {
      // A folder that is gone shows at the next write, with its own reason.
      return;
    }
    if ((this.shortage() === undefined) !== before) this.onChange();
  }
}

const megabytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0);
