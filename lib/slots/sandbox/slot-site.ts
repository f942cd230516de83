import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Slots of a tier with users get these uids and gids, one each: outside what systems give to people and services. */
export const FIRST_SLOT_UID = 1_900_000;
export const SLOT_UIDS = 10_000;

/** The place of one slot on this machine: its number, user and folder. */
export interface SlotSite {
  /** Never reused while the platform runs. */
  name: string;
  /** Own user and group, where the tier gives one. */
  uid?: number;
  /** Holds task, opt, cache, and tmp where the tier has no private one. */
  folder: string;
  tmp: string;
}

/** Hands out sites. Uids go round, so that one is used again only after all others were. */
export class SlotSites {
  private serial = 0;
  private readonly usedUids = new Set<number>();

  constructor(
    /** Made new here: what an earlier run left is removed. */
    private readonly root: string,
    private readonly withUsers: boolean,
  ) {
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root, { recursive: true, mode: 0o711 });
  }

  async take(): Promise<SlotSite> {
    this.serial += 1;
    const uid = this.withUsers ? this.freeUid() : undefined;
    const name = String(this.serial);
    const folder = join(this.root, name);
    const tmp = join(folder, 'tmp');
    // Owner root, group the slot's: its user may enter, no other slot's may, and nobody but us writes.
    await mkdir(folder, { mode: 0o750 });
    await Promise.all(['task', 'opt', 'cache'].map((part) => mkdir(join(folder, part), { mode: 0o755 })));
    await mkdir(tmp, { mode: 0o700 });
    if (uid !== undefined) {
      await chown(folder, 0, uid);
      await chown(tmp, uid, uid);
    }
    await writeFile(
      join(folder, 'passwd'),
      `root:x:0:0::/:/bin/false\nfns:x:${uid ?? process.getuid?.() ?? 0}:${uid ?? process.getgid?.() ?? 0}::/tmp:/bin/false\n`,
    );
    return { name, uid, folder, tmp };
  }

  /** Only once no process of the slot runs. */
  async giveBack(site: SlotSite): Promise<void> {
    await rm(site.folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
    if (site.uid !== undefined) this.usedUids.delete(site.uid);
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true, maxRetries: 3 });
  }

  private freeUid(): number {
    for (let tried = 0; tried < SLOT_UIDS; tried += 1) {
      const uid = FIRST_SLOT_UID + ((this.serial + tried) % SLOT_UIDS);
      if (this.usedUids.has(uid)) continue;
      this.usedUids.add(uid);
      return uid;
    }
    throw new Error(`all ${SLOT_UIDS} slot users are in use`);
  }
}

/** A line for people who find the folder. */
export function explainFolder(root: string): void {
  writeFileSync(join(root, 'README'), 'Folders of running function slots. Made and removed by FNS; nothing here needs a backup.\n');
}
