import { crc32, deflateRawSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { ZipArchives } from '../../../lib/embedded/code/archive.js';

interface Entry {
  name: string;
  text?: string | Buffer;
  mode?: number;
  deflate?: boolean;
  flags?: number;
  method?: number;
  /** What the header says, where it lies. */
  saysSize?: number;
  saysCrc?: number;
}

/** A zip file by hand: a library would refuse to write what we must refuse to read. */
function zip(entries: Entry[]): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, text = 'x', mode = 0o100644, deflate = false, flags = 0x0800, method, saysSize, saysCrc } of entries) {
    const raw = Buffer.from(text as string);
    const data = deflate ? deflateRawSync(raw) : raw;
    const path = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method ?? (deflate ? 8 : 0), 4);
    common.writeUInt32LE(saysCrc ?? crc32(raw), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(saysSize ?? raw.length, 18);
    common.writeUInt16LE(path.length, 22);
    locals.push(Buffer.from('PK\x03\x04', 'latin1'), common, path, data);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((mode << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x03', 'latin1'), common, tail, path);
    offset += 30 + path.length + data.length;
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(index.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, index, Buffer.from('PK\x05\x06', 'latin1'), end]);
}

const archives = new ZipArchives({ archiveBytes: 100_000, unpackedBytes: 200_000, files: 20 });
const good: Entry = { name: 'index.js', text: 'good' };

describe('an archive', () => {
  it('is read with folders, stored and deflated entries, and an empty file', async () => {
    const files = await archives.unpack(
      zip([
        good,
        { name: 'lib/', text: '', mode: 0o040755 },
        { name: 'lib/a.js', text: 'aaaa', deflate: true },
        { name: 'empty', text: '' },
      ]),
    );
    expect([...files].map(([path, bytes]) => [path, Buffer.from(bytes).toString()])).toEqual([
      ['index.js', 'good'],
      ['lib/a.js', 'aaaa'],
      ['empty', ''],
    ]);
    expect((await archives.unpack(zipSync({ 'ü/ö.js': Buffer.from('1') }))).has('ü/ö.js')).toBe(true);
  });

  it.each<[string, Entry, RegExp]>([
    ['a way out of the folder', { name: '../evil.txt' }, /"\.\.\/evil\.txt".*leads out/],
    ['a way out further down', { name: 'lib/../../evil.js' }, /leads out/],
    ['an absolute path', { name: '/tmp/evil' }, /absolute/],
    ['a backslash', { name: '..\\..\\evil.txt' }, /backslash/],
    ['a drive letter', { name: 'C:evil' }, /drive/],
    ['a link', { name: 'link', text: '/etc', mode: 0o120777 }, /"link" is a link/],
    ['a device', { name: 'null', mode: 0o020666 }, /neither a plain file nor a folder/],
    ['a pipe', { name: 'pipe', mode: 0o010644 }, /neither a plain file nor a folder/],
    ['a NUL in a name', { name: 'a\0b' }, /control character/],
    ['an encrypted entry', { name: 'secret', deflate: true, flags: 0x0801 }, /encrypted/],
    ['an unknown compression', { name: 'odd', method: 99 }, /method 99/],
    ['the same name twice', { name: 'index.js' }, /twice/],
    ['a file where a folder is needed', { name: 'index.js/a' }, /folder/],
    ['a wrong checksum', { name: 'bad', saysCrc: 1 }, /damaged/],
    ['a bomb that says its size', { name: 'bomb', text: Buffer.alloc(300_000), deflate: true }, /"bomb".*too large/],
    ['a bomb that lies about its size', { name: 'bomb', text: Buffer.alloc(300_000), deflate: true, saysSize: 10 }, /"bomb"/],
    ['an entry shorter than it says', { name: 'short', text: 'abc', deflate: true, saysSize: 10 }, /"short"/],
  ])('with %s is refused with 422, naming it', async (_, entry, wanted) => {
    await expect(archives.unpack(zip([good, entry]))).rejects.toMatchObject({
      status: 422,
      code: 'FNS_422_INVALID',
      message: expect.stringMatching(wanted),
    });
  });

  it('that is empty, too large, of too many files, cut off or no zip at all is refused', async () => {
    const refused = async (bytes: Uint8Array, wanted: RegExp) =>
      expect(archives.unpack(bytes)).rejects.toMatchObject({ status: 422, message: expect.stringMatching(wanted) });
    await refused(zip([]), /no file/);
    await refused(zip([{ name: 'only/', text: '', mode: 0o040755 }]), /no file/);
    await refused(Buffer.alloc(100_001), /100001 bytes/);
    await refused(zip(Array.from({ length: 21 }, (_, i) => ({ name: `f${i}` }))), /21 entries/);
    await refused(zip([good]).subarray(0, 40), /no zip archive/);
    await refused(Buffer.from('PK\x03\x04 not a zip'), /no zip archive/);
    await refused(new Uint8Array(), /no zip archive/);
    const many = Array.from({ length: 15 }, (_, i) => ({ name: `f${i}`, text: Buffer.alloc(20_000, i), deflate: true }));
    await refused(zip(many), /too large/);
  });

  it('that is refused leaves the next one unharmed', async () => {
    const [bad, fine] = await Promise.allSettled([archives.unpack(zip([{ name: '../x' }])), archives.unpack(zip([good]))]);
    expect([bad.status, fine.status]).toEqual(['rejected', 'fulfilled']);
  });
});
