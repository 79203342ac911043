/**
 * Writes an archive in cpio's "new ASCII" format, which the kernel unpacks as its first file system:
 * Documentation/driver-api/early-userspace/buffer-format.rst of the kernel. Each entry is a header of
 * hexadecimal numbers, the name with a zero byte, and the data; name and data are padded to four bytes.
 */

/** What is in an archive at a path (no slash in front): a file's bytes, a link, or a folder. */
export type Entry = { file: Uint8Array; mode?: number } | { link: string } | { folder: true };

const FOLDER = 0o040755;
const FILE = 0o100000;
const LINK = 0o120777;

/** Makes an archive of `entries`; folders on the way to a path are added where they are not entries. */
export function cpio(entries: ReadonlyMap<string, Entry>): Uint8Array {
  const parts: Uint8Array[] = [];
  let inode = 0;
  const add = (path: string, mode: number, data: Uint8Array) => {
    const name = Buffer.from(`${path}\0`);
    inode++;
    // inode, mode, uid, gid, links, mtime, size, device (2), device itself (2), length of name, checksum.
    const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}`);
    parts.push(header, name, padding(header.length + name.length), data, padding(data.length));
  };
  const added = new Set<string>();
  const addFolder = (path: string) => {
    if (path === '' || added.has(path)) return;
    addFolder(parentOf(path));
    added.add(path);
    add(path, FOLDER, EMPTY);
  };
  for (const [path, entry] of entries) {
    if (path === '' || path.startsWith('/'))
      throw new Error(`cpio: "${path}" is not a path inside an archive`);
    addFolder(parentOf(path));
    if ('folder' in entry) addFolder(path);
    else if ('link' in entry) add(path, LINK, Buffer.from(entry.link));
    else add(path, FILE | (entry.mode ?? 0o644), entry.file);
  }
  add('TRAILER!!!', 0, EMPTY);
  return Buffer.concat(parts);
}

const EMPTY = new Uint8Array(0);

const parentOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf('/')));

const padding = (length: number) => new Uint8Array(-length & 3);
