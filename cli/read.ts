/** Reads a module named on the command line: a binary or WebAssembly text, from a file or standard input. */
import { readFileSync } from 'node:fs';
import { BelayError } from '../contract/errors.js';
import { fileReason } from './errors.js';

/** What messages call an input: its path, or `standard input` for `-`. */
export function inputName(path: string): string {
  return path === '-' ? 'standard input' : path;
}

/**
 * The bytes of the module at `path` (`-` is standard input), as a binary: text is translated.
 * @throws ERR_BELAY_FILE when it cannot be read; ERR_BELAY_INVALID_MODULE when it is no module at all.
 * Bytes after the eight of the header are not looked at: the rewriter does that.
 */
export async function readModule(path: string): Promise<Uint8Array> {
  const name = inputName(path);
  const bytes = path === '-' ? await readStandardInput() : readInput(path, '.wasm file');
  if (bytes.length === 0) throw invalid(`${name} is empty; give a WebAssembly module`);
  if (isBinary(bytes)) {
    checkVersion(bytes, name);
    return bytes;
  }
  const text = decodeText(bytes);
  if (text === undefined) throw invalid(`${name} is not a WebAssembly module: ${describe(bytes)}`);
  if (!looksLikeModuleText(text)) {
    throw invalid(`${name} is a text file, but not WebAssembly text: that would begin with "(module"`);
  }
  // wabt is large and only text needs it.
  const { toBinary } = await import('../rewriter/text.js');
  return toBinary(bytes, name);
}

/** A file, or standard input for `-`, as it is. @throws ERR_BELAY_FILE */
export function readInput(path: string, wanted = 'file'): Buffer {
  try {
    return readFileSync(path === '-' ? 0 : path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const advice =
      code === 'EISDIR' ? `; name a ${wanted} in it` : code === 'ENOENT' ? '; check the path' : '';
    throw new BelayError('ERR_BELAY_FILE', `cannot read ${path}: ${fileReason(cause)}${advice}`, { cause });
  }
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  } catch (cause) {
    throw new BelayError('ERR_BELAY_FILE', `cannot read standard input: ${fileReason(cause)}`, { cause });
  }
  return Buffer.concat(chunks);
}

function invalid(message: string): BelayError {
  return new BelayError('ERR_BELAY_INVALID_MODULE', message);
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d];

function isBinary(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

function checkVersion(bytes: Uint8Array, name: string): void {
  if (bytes.length < 8) throw invalid(`${name} is cut off after ${bytes.length} bytes; get the whole file`);
  const version = bytes[4]! | (bytes[5]! << 8);
  const layer = bytes[6]! | (bytes[7]! << 8);
  if (layer === 1) {
    throw invalid(
      `${name} is a WebAssembly component; give the core module inside it (jco or wasm-tools extract it)`,
    );
  }
  if (version !== 1 || layer !== 0) {
    throw invalid(
      `${name} has WebAssembly version ${version}, layer ${layer}; only core modules of version 1 are known`,
    );
  }
}

/** The text of UTF-8 bytes, or undefined where they are something else. */
function decodeText(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Whether the first thing that is neither space nor comment is an opening parenthesis. */
function looksLikeModuleText(text: string): boolean {
  return /^(?:\s|;;[^\n]*(?:\n|$)|\(;[\s\S]*?;\))*\((?!;)/.test(text);
}

const SIGNATURES: [bytes: number[], what: string][] = [
  [[0x7f, 0x45, 0x4c, 0x46], 'it is an ELF file; build the program for wasm32'],
  [[0x1f, 0x8b], 'it is compressed with gzip; unpack it first'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'it is compressed with zstd; unpack it first'],
  [[0x50, 0x4b, 0x03, 0x04], 'it is a zip archive; unpack it first'],
  [[0x21, 0x3c, 0x61, 0x72], 'it is an archive of object files; link it first'],
  [[0x42, 0x43, 0xc0, 0xde], 'it is LLVM bitcode; link it first'],
];

function describe(bytes: Uint8Array): string {
  const known = SIGNATURES.find(([signature]) => signature.every((byte, i) => bytes[i] === byte));
  if (known) return known[1];
  const start = Buffer.from(bytes.subarray(0, 4)).toString('hex').replace(/../g, '$& ').trim();
  return `it begins with ${start}, not with 00 61 73 6d`;
}
