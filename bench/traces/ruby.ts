/**
 * A trace of ruby.wasm: 30 MB of CRuby with its standard library, which works through requests of five kinds in one
 * run. It is not instrumented; the native addon's uffd-async tells which pages were written. The script announces each
 * request by a line, and that is where one epoch ends and the next begins.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WASI } from 'node:wasi';
import { PAGE_BYTES, type WatchedMemory } from '../../runtime/mechanisms/addon.js';
import { loadAddon } from '../../runtime/mechanisms/native.js';
import { TraceWriter } from '../../runtime/speculation/trace.js';
import { ROOT } from '../subjects/host.js';

const PACKAGE = '@ruby/3.4-wasm-wasi@2.10.1';
const MEMBER = 'package/dist/ruby+stdlib.wasm';
const REQUESTS = 1000;

const SCRIPT = `
require 'json'
$stdout.sync = true
store = {}
work = {
  'json' => ->(n) { JSON.generate(JSON.parse('{"a":[' + (1..50).map { |i| i * n }.join(',') + ']}')) },
  'sort' => ->(n) { (0..200).map { |i| (i * 7919 + n) % 1009 }.sort_by { |i| -i }.first(5) },
  'text' => ->(n) { ("lorem ipsum " * 40).scan(/\\w+/).tally.map { |w, c| w + c.to_s }.join(' ') },
  'store' => ->(n) { store[n % 500] = { id: n, text: "note #{n}" }; store.size },
  'find' => ->(n) { store.values.select { |v| v[:text].include?('9') }.size },
}
kinds = work.keys
${REQUESTS}.times do |n|
  kind = kinds[n * 7919 % 13 % kinds.size]
  puts kind
  work[kind].call(n)
end
puts 'end'
`;

function ruby(): Uint8Array {
  const path = join(ROOT, '.cache', 'modules', 'ruby', 'ruby+stdlib.wasm');
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    const out = execFileSync('npm', ['pack', PACKAGE, '--json', '--pack-destination', dirname(path)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [archive] = JSON.parse(out) as [{ filename: string }];
    const content = execFileSync('tar', ['-xzf', archive.filename, '-O', MEMBER], {
      cwd: dirname(path),
      maxBuffer: 1 << 28,
    });
    writeFileSync(`${path}.part`, content);
    renameSync(`${path}.part`, path);
  }
  return readFileSync(path);
}

/** @throws where the addon, or ruby, is not to be had */
export async function recordRuby(): Promise<Uint8Array> {
  const addon = loadAddon();
  if (typeof addon === 'string') throw new Error(`ruby is watched by the native addon: ${addon}`);
  const writer = new TraceWriter({
    name: 'ruby',
    description: `CRuby 3.4 at work: JSON, sorting, text, a hash; ${REQUESTS} requests of five kinds, an epoch each`,
  });
  const wasi = new WASI({ version: 'preview1', args: ['ruby', '-e', SCRIPT], env: {} });
  const imports = wasi.getImportObject() as {
    wasi_snapshot_preview1: Record<string, (...args: number[]) => number>;
  };
  const host = imports.wasi_snapshot_preview1;
  let memory!: WebAssembly.Memory;
  let watched: WatchedMemory | undefined;
  let buffer: ArrayBufferLike | undefined;
  let running: { pages: number; kind: number } | undefined;
  const mark = (kind: string): void => {
    if (buffer !== memory.buffer) {
      buffer = memory.buffer;
      if (watched) watched.resized(buffer as ArrayBuffer);
      else watched = addon.attach(buffer as ArrayBuffer, 'uffd-async');
    }
    if (running) {
      const { pages } = running;
      const out = new Uint32Array(buffer.byteLength / PAGE_BYTES);
      const written = out
        .subarray(0, watched!.faulted(out))
        .filter((page) => page < pages)
        .sort();
      writer.add({ ...running, written });
    }
    watched!.checkpoint();
    running = { pages: buffer.byteLength / PAGE_BYTES, kind: writer.kindNamed(kind) };
  };
  const write = host.fd_write!;
  host.fd_write = (fd, iovs, count, result) => {
    if (fd !== 1) return write(fd, iovs, count, result);
    const view = new DataView(memory.buffer);
    let text = '';
    for (let i = 0; i < count!; i++) {
      const [at, length] = [view.getUint32(iovs! + 8 * i, true), view.getUint32(iovs! + 8 * i + 4, true)];
      text += Buffer.from(memory.buffer, at, length).toString();
    }
    view.setUint32(result!, Buffer.byteLength(text), true);
    if (text.trim()) mark(text.trim());
    return 0;
  };
  const { instance } = await WebAssembly.instantiate(ruby() as Uint8Array<ArrayBuffer>, imports as never);
  memory = instance.exports.memory as WebAssembly.Memory;
  wasi.start(instance);
  watched?.detach();
  return writer.bytes();
}
