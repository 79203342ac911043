/**
 * Real modules from npm and a workload for each, with the glue that their packages ship. Each can be loaded
 * instrumented or as it is, any number of times in one process; two loads that take the same steps are
 * bit-identical, because clocks and random numbers are replaced while they run.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Layout } from '../../contract/contract.js';
import type { InstrumentOptions } from '../../rewriter/types.js';
import { divert } from '../../runtime/adapters/divert.js';
import { Glue } from '../../runtime/adapters/glue.js';
import { type Adapter, emscripten, keepInMemory, wasmBindgen } from '../../runtime/adapters/index.js';
import { instantiate } from '../../runtime/index.js';
import type { Guest, InstantiateOptions } from '../../runtime/types.js';
import { createWasi } from '../../runtime/wasi/index.js';

const require = createRequire(import.meta.url);
const nodeCrypto = require('node:crypto') as { randomFillSync: unknown };
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const CACHE = join(ROOT, '.cache', 'modules');

/** A module at work. A step leaves no host state behind that a later step would need. */
export interface Workload {
  /** Absent when the module was loaded as it is. */
  guest: Guest | undefined;
  adapter: Adapter | undefined;
  /** The memory, whoever loaded it. */
  memory: WebAssembly.Memory;
  /** Does the nth step and returns what came of it. Deterministic in the guest's state and `n`. */
  step(n: number): unknown;
}

export interface RealModule {
  name: string;
  /** The original; rejects with {@link Unreachable} when it has to be fetched and cannot be. */
  bytes(): Promise<Uint8Array>;
  /** Options to instrument it with: the layout, and what that layout needs for this module. */
  options(layout: Layout): InstrumentOptions;
  /** Loads an instrumented binary. */
  load(wasm: BufferSource | WebAssembly.Module, options?: InstantiateOptions): Promise<Workload>;
  /** Loads the original, through the same glue. */
  loadPlain(bytes: BufferSource): Promise<Workload>;
}

/** A module could not be fetched: skip it, and say so. */
export class Unreachable extends Error {}

/** What a package's glue is given to load a module with: an adapter, or the plain thing. */
interface Host {
  module: object;
  instantiate(imports?: WebAssembly.Imports): Promise<WebAssembly.Instance>;
  divert<T>(load: () => T): T;
  /** A host write, for modules without glue. */
  write(pointer: number, bytes: Uint8Array): void;
}

type Loaded = { step: (n: number) => unknown };

function define(
  name: string,
  bytes: () => Uint8Array,
  adapt: (
    wasm: BufferSource | WebAssembly.Module,
    options: InstantiateOptions,
  ) => Adapter & { module?: object },
  load: (host: Host) => Promise<Loaded>,
  reserve: number,
): RealModule {
  return {
    name,
    options: (layout) => ({ layout, ...(layout === 'inline' && { reserve }) }),
    bytes: async () => bytes(),
    async load(wasm, options = {}) {
      const adapter = adapt(wasm, options);
      let guest: Guest | undefined;
      const host: Host = {
        module: adapter.module ?? {},
        instantiate: (imports) => adapter.instantiate(imports),
        divert: (fn) => adapter.divert(fn),
        write: (pointer, content) => guest!.write(pointer, content),
      };
      void adapter.guest.then(
        (value) => {
          guest = value;
        },
        () => {},
      );
      const loaded = await frozen(0, () => load(host));
      guest = await adapter.guest;
      return { guest, adapter, memory: guest.memory, step: stepper(loaded) };
    },
    async loadPlain(source) {
      const host = plainHost(source);
      const loaded = await frozen(0, () => load(host));
      return { guest: undefined, adapter: undefined, memory: host.memory(), step: stepper(loaded) };
    },
  };
}

const stepper = (loaded: Loaded) => (n: number) => frozen(n + 1, () => loaded.step(n));

function plainHost(source: BufferSource): Host & { memory(): WebAssembly.Memory } {
  let memory: WebAssembly.Memory | undefined;
  const bind = (instance: WebAssembly.Instance, imports: WebAssembly.Imports = {}) => {
    for (const value of [
      ...Object.values(instance.exports),
      ...Object.values(imports).flatMap(Object.values),
    ]) {
      if (value instanceof WebAssembly.Memory) memory = value;
    }
    return instance;
  };
  const module = new WebAssembly.Module(source);
  const { Instance } = WebAssembly;
  const host = {
    instantiate: async (imports?: WebAssembly.Imports) =>
      bind(await WebAssembly.instantiate(module, imports), imports),
    instantiateSync: (imports?: WebAssembly.Imports) => bind(new Instance(module, imports), imports),
    guest: Promise.resolve({ module }),
    divert: <T>(load: () => T): T => divert(host, load),
    module: {
      instantiateWasm(
        imports: WebAssembly.Imports,
        receive: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
      ) {
        void host.instantiate(imports).then((instance) => receive(instance, module));
        return {};
      },
    },
    memory: () => memory!,
    write(pointer: number, bytes: Uint8Array) {
      new Uint8Array(memory!.buffer).set(bytes, pointer);
    },
  };
  return host;
}

/** Runs with clocks and random numbers that depend on `seed` and on nothing else. */
function frozen<T>(seed: number, fn: () => T): T {
  let state = (seed * 2654435761) >>> 0 || 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const kept = {
    random: Math.random,
    now: Date.now,
    performance: performance.now,
    values: crypto.getRandomValues,
    fill: nodeCrypto.randomFillSync,
  };
  let clock = 1_700_000_000_000 + seed * 1000;
  Math.random = random;
  Date.now = () => clock++;
  performance.now = () => clock++ - 1_700_000_000_000;
  crypto.getRandomValues = ((array: Uint8Array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random() * 256;
    return array;
  }) as typeof crypto.getRandomValues;
  nodeCrypto.randomFillSync = crypto.getRandomValues as never;
  const restore = () => {
    nodeCrypto.randomFillSync = kept.fill;
    Math.random = kept.random;
    Date.now = kept.now;
    performance.now = kept.performance;
    crypto.getRandomValues = kept.values;
  };
  let result: T;
  try {
    result = fn();
  } catch (error) {
    restore();
    throw error;
  }
  if (!(result instanceof Promise)) {
    restore();
    return result;
  }
  return result.finally(restore) as T;
}

/** A package's CommonJS file, evaluated anew: most keep their instance. */
function fresh<T>(path: string): T {
  delete require.cache[require.resolve(path)];
  return require(path) as T;
}

const packageFile = (name: string, ...path: string[]) => join(ROOT, 'node_modules', name, ...path);

// --- sql.js: Emscripten, minified, exported memory -----------------------------------------------------------

interface SqlStatement {
  run(values: unknown[]): void;
  bind(values: unknown[]): void;
  step(): boolean;
  getAsObject(): object;
  free(): void;
}
interface SqlDatabase {
  run(sql: string, values?: unknown[]): void;
  exec(sql: string): unknown;
  prepare(sql: string): SqlStatement;
}
type Sql = { Database: new () => SqlDatabase; [name: string]: unknown };

export const sqljs = define(
  'sql.js',
  () => readFileSync(packageFile('sql.js', 'dist', 'sql-wasm.wasm')),
  (wasm, options) => emscripten(wasm, options),
  async (host) => {
    const init = fresh<(config: object) => Promise<Sql>>(packageFile('sql.js', 'dist', 'sql-wasm.js'));
    const sql = await init(host.module);
    keepInMemory(sql);
    const db = new sql.Database();
    db.run('create table t(id integer primary key, a int, b text, c blob)');
    // SQLite seeds its generator once, from a buffer that the glue keeps: have that behind us.
    db.exec('select random()');
    const insert = db.prepare('insert into t(a,b,c) values(?,?,?)');
    return {
      step(n) {
        switch (n % 6) {
          case 0: {
            db.run('begin');
            for (let i = 0; i < 40; i++)
              insert.run([(n + i * 7) % 100, `row ${n}/${i} ${'x'.repeat(i)}`, null]);
            db.run('commit');
            return db.exec('select count(*), sum(a) from t');
          }
          case 1:
            insert.run([n, `ünï ${n}`, new Uint8Array(300 + n).fill(n)]);
            return db.exec('select length(c), b from t order by id desc limit 1');
          case 2:
            return db.exec('select a % 5 g, count(*), max(b) from t group by g order by 2 desc, 1');
          case 3: {
            const select = db.prepare('select id, a, b from t where a > :a order by id limit 5');
            const rows: object[] = [];
            select.bind([n % 50]);
            while (select.step()) rows.push(select.getAsObject());
            select.free();
            return rows;
          }
          case 4:
            db.run('update t set b = b || ? where id % 3 = ?', ['!', n % 3]);
            try {
              db.exec('select * from nowhere');
            } catch (error) {
              return String(error);
            }
            return undefined;
          default:
            db.run('create temp table if not exists s as select * from t');
            db.run('delete from t where id % 4 = 0; drop table s');
            return db.exec('pragma integrity_check; select count(*) from t');
        }
      },
    };
  },
  128 << 20,
);

// --- QuickJS: Emscripten, minified, imported memory ----------------------------------------------------------

export const quickjs = define(
  'quickjs',
  () => readFileSync(packageFile('@jitl/quickjs-wasmfile-release-sync', 'dist', 'emscripten-module.wasm')),
  (wasm, options) => emscripten(wasm, options),
  async (host) => {
    const { newQuickJSWASMModuleFromVariant, newVariant } = await import('quickjs-emscripten-core');
    const { default: variant } = await import('@jitl/quickjs-wasmfile-release-sync');
    const engine = await newQuickJSWASMModuleFromVariant(
      newVariant(variant as never, { emscriptenModule: host.module as never }),
    );
    const vm = engine.newContext();
    const run = (code: string) => vm.unwrapResult(vm.evalCode(code));
    run(`
      globalThis.log = [];
      globalThis.work = function (n, text) {
        const o = {}, a = [];
        for (let i = 0; i < n; i++) { a.push({ x: i, y: 'k' + (i % 17) }); o['k' + (i % 17)] = (o['k' + (i % 17)] || 0) + i; }
        a.sort((p, q) => (p.x * 7919 % 101) - (q.x * 7919 % 101) || p.x - q.x);
        log.push(text + a.length);
        return JSON.stringify({ text, sum: a.reduce((s, e) => s + o[e.y] % 7 + e.x, 0), log: log.length, at: Date.now() });
      }`).dispose();
    const work = vm.getProp(vm.global, 'work');
    return {
      step(n) {
        switch (n % 4) {
          case 0:
          case 1: {
            const size = vm.newNumber(20 + (n % 50));
            const text = vm.newString(`étape ${n} ${'y'.repeat(n % 300)}`);
            const result = vm.unwrapResult(vm.callFunction(work, vm.undefined, size, text));
            const value = vm.getString(result);
            for (const handle of [size, text, result]) handle.dispose();
            return value;
          }
          case 2: {
            const result = run(
              `globalThis.big = new Uint8Array(${n} * 1000).fill(${n % 256}); big.length + log.join().length`,
            );
            const value = vm.getNumber(result);
            result.dispose();
            return value;
          }
          default: {
            const outcome = vm.evalCode(`null.property${n}`);
            if (!outcome.error) throw new Error('the guest should have thrown');
            const value = vm.dump(outcome.error) as { message?: string };
            outcome.error.dispose();
            return value.message;
          }
        }
      },
    };
  },
  128 << 20,
);

// --- wasmoon (Lua): Emscripten, debug build, no hook ---------------------------------------------------------

export const wasmoon = define(
  'wasmoon',
  () => readFileSync(packageFile('wasmoon', 'dist', 'glue.wasm')),
  (wasm, options) => emscripten(wasm, options),
  async (host) => {
    const { LuaFactory } = fresh<typeof import('wasmoon')>(packageFile('wasmoon', 'dist', 'index.js'));
    const factory = host.divert(() => {
      const made = new LuaFactory();
      // The constructor starts loading; the promise is what tells when it is done.
      return made.getLuaModule().then(() => made);
    });
    const lua = await (await factory).createEngine({ injectObjects: false });
    const raw = lua.global.lua as unknown as Record<string, (...args: unknown[]) => unknown>;
    await lua.doString(`
      log = {}
      function work(n, text)
        local o, a, s = {}, {}, 0
        for i = 0, n - 1 do a[#a + 1] = { x = i, y = 'k' .. (i % 17) } local k = 'k' .. (i % 17) o[k] = (o[k] or 0) + i end
        for _, e in ipairs(a) do s = s + o[e.y] % 7 + e.x end
        table.sort(a, function(p, q) local u, v = p.x * 7919 % 101, q.x * 7919 % 101 if u ~= v then return u < v end return p.x < q.x end)
        log[#log + 1] = text
        return s + #table.concat(log, ',')
      end`);
    const { address } = lua.global;
    return {
      step(n) {
        raw.lua_getglobal!(address, 'work');
        raw.lua_pushnumber!(address, 10 + (n % 60));
        raw.lua_pushstring!(address, `ünï ${n} ${'z'.repeat(n % 200)}`);
        if (raw.lua_pcallk!(address, 2, 1, 0, 0, null)) throw new Error('Lua failed');
        const value = raw.lua_tonumberx!(address, -1, null);
        raw.lua_settop!(address, -2);
        if (n % 3 !== 2) return value;
        // A protected call that fails: setjmp and longjmp through JavaScript.
        raw.luaL_loadstring!(address, `error('step ${n}')`);
        const code = raw.lua_pcallk!(address, 0, 0, 0, 0, null);
        raw.lua_settop!(address, -2);
        return [value, code];
      },
    };
  },
  128 << 20,
);

// --- brotli-wasm: wasm-bindgen, no hook ----------------------------------------------------------------------

interface Brotli {
  compress(input: Uint8Array, options?: object): Uint8Array;
  decompress(input: Uint8Array): Uint8Array;
  CompressStream: new (
    quality?: number,
  ) => {
    compress(input: Uint8Array | undefined, size: number): { buf: Uint8Array; code: number; free(): void };
    free(): void;
  };
}

export const brotli = define(
  'brotli-wasm',
  () => readFileSync(packageFile('brotli-wasm', 'pkg.node', 'brotli_wasm_bg.wasm')),
  (wasm, options) => wasmBindgen(wasm, options),
  async (host) => {
    const glue = host.divert(() => fresh<Brotli>(packageFile('brotli-wasm', 'pkg.node', 'brotli_wasm.js')));
    const text = (n: number) =>
      new TextEncoder().encode(
        Array.from({ length: 40 + (n % 60) }, (_, i) => `line ${i * n} of ${n}`).join('\n'),
      );
    return {
      step(n) {
        if (n % 4 === 3) {
          try {
            return glue.decompress(text(n));
          } catch (error) {
            return String(error);
          }
        }
        if (n % 4 === 2) {
          const stream = new glue.CompressStream(5);
          const part = stream.compress(text(n), 4096);
          const rest = stream.compress(undefined, 4096);
          const result = [part.buf.length, part.code, rest.buf.length, rest.code];
          part.free();
          rest.free();
          stream.free();
          return result;
        }
        const packed = glue.compress(text(n), { quality: n % 8 });
        return [packed.length, new TextDecoder().decode(glue.decompress(packed)).length];
      },
    };
  },
  64 << 20,
);

// --- hash-wasm's argon2: C, no glue of its own worth the name ------------------------------------------------

/** Modules without an adapter of their own: imports as they are, host writes by guest.write. */
const bare = (wasm: BufferSource | WebAssembly.Module, options: InstantiateOptions): Adapter =>
  new Glue(wasm, options, { growsFromHost: false, pair: 65536 });

export const argon2 = define(
  'argon2',
  () => {
    const script = readFileSync(packageFile('hash-wasm', 'dist', 'argon2.umd.min.js'), 'utf8');
    const found = /name:"argon2",data:"([A-Za-z0-9+/=]+)"/.exec(script);
    if (!found) throw new Error('hash-wasm no longer carries argon2 where this looks for it');
    return Buffer.from(found[1]!, 'base64');
  },
  bare,
  async (host) => {
    const exports = (await host.instantiate()).exports as unknown as {
      memory: WebAssembly.Memory;
      Hash_SetMemorySize(bytes: number): void;
      Hash_GetBuffer(): number;
      Hash_Calculate(length: number, memory: number): void;
    };
    const kibibytes = 64;
    return {
      step(n) {
        // Grows memory at the first step.
        exports.Hash_SetMemorySize((kibibytes + (n % 3) * 256) * 1024 + 1024);
        const buffer = exports.Hash_GetBuffer();
        const parameters = new DataView(new ArrayBuffer(24));
        for (const [i, value] of [1, 32, kibibytes, 1 + (n % 2), 0x13, n % 3].entries()) {
          parameters.setInt32(4 * i, value, true);
        }
        host.write(buffer + kibibytes * 1024, new Uint8Array(parameters.buffer));
        const block = new Uint8Array(2048);
        for (let i = 0; i < block.length; i++) block[i] = i * 31 + n;
        host.write(buffer, block);
        exports.Hash_Calculate(0, kibibytes);
        return Buffer.from(new Uint8Array(exports.memory.buffer, buffer, 32)).toString('hex');
      },
    };
  },
  16 << 20,
);

// --- wasmboy's core: AssemblyScript --------------------------------------------------------------------------

const WASMBOY = 'wasmboy@0.7.1';

export const wasmboy = define(
  'wasmboy',
  () => {
    const path = join(CACHE, WASMBOY, 'core.wasm');
    if (!existsSync(path)) fetchPackage(WASMBOY, 'package/dist/core/core.untouched.wasm', path);
    return readFileSync(path);
  },
  bare,
  async (host) => {
    const abort = () => {
      throw new Error('the module called abort');
    };
    const exports = (await host.instantiate({ env: { abort } })).exports as unknown as {
      memory: WebAssembly.Memory;
      config(...flags: number[]): void;
      executeFrame(): number;
      setJoypadState(...keys: number[]): void;
      getProgramCounter(): number;
      clearAudioBuffer(): void;
      CARTRIDGE_ROM_LOCATION: WebAssembly.Global;
      FRAME_LOCATION: WebAssembly.Global;
    };
    host.write(exports.CARTRIDGE_ROM_LOCATION.value, cartridge());
    exports.config(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return {
      step(n) {
        exports.setJoypadState(...Array.from({ length: 8 }, (_, i) => (n >> i) & 1));
        const status = exports.executeFrame();
        if (n % 5 === 4) exports.clearAudioBuffer();
        const frame = new Uint8Array(exports.memory.buffer, exports.FRAME_LOCATION.value, 4096);
        return [status, exports.getProgramCounter(), frame.reduce((sum, byte) => (sum * 31 + byte) | 0, n)];
      },
    };
  },
  32 << 20,
);

// --- the notes sample: C on SQLite, a WASI reactor -----------------------------------------------------------

const request = (method: string, path: string, body = '') =>
  `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** A request of every kind; the last ones go wrong, some of them by a trap. */
const REQUESTS: ((n: number) => string)[] = [
  (n) => request('POST', '/notes', `note ${n} ${'lorem ipsum '.repeat(n % 40)}`),
  () => request('GET', '/notes'),
  () => request('GET', '/search?q=lorem'),
  (n) => request('DELETE', `/notes/${n % 9}`),
  () => 'GARBAGE',
  () => request('POST', '/crash/null'),
  () => request('POST', '/crash/exit'),
  () => request('POST', '/crash/scribble'),
];

export const notes: RealModule = {
  name: 'notes',
  bytes: async () => readFileSync(join(ROOT, 'samples', 'notes', 'notes.wasm')),
  options: (layout) => ({ layout }),
  async load(wasm, options = {}) {
    const wasi = await createWasi({ now: () => 0n, random: (bytes) => bytes.fill(7) });
    const guest = await instantiate(wasm, (made) => wasi.imports(made), options);
    wasi.initialize(guest);
    return {
      guest,
      adapter: undefined,
      memory: guest.memory,
      step(n) {
        wasi.setStdin(REQUESTS[n % REQUESTS.length]!(n));
        let outcome = 'answered';
        try {
          (guest.exports.handle as () => void)();
        } catch (error) {
          outcome = (error as Error).name;
        }
        return [outcome, new TextDecoder().decode(wasi.takeStdout())];
      },
    };
  },
  loadPlain: () => Promise.reject(new Error('WASI needs a guest')),
};

/** A Game Boy program that scrolls the screen and fills memory for ever. */
function cartridge(): Uint8Array {
  const rom = new Uint8Array(32768);
  const program = [
    0x21,
    0x00,
    0x80, // ld hl, 8000
    0x34,
    0x23, // inc (hl); inc hl
    0x7c,
    0xfe,
    0xdf, // ld a, h; cp df
    0x20,
    0xf9, // jr nz, -7
    0xf0,
    0x43,
    0x3c,
    0xe0,
    0x43, // scroll: ldh a, (43); inc a; ldh (43), a
    0xc3,
    0x50,
    0x01, // jp 0150
  ];
  rom.set([0x00, 0xc3, 0x50, 0x01], 0x100);
  rom.set(program, 0x150);
  return rom;
}

/** Fetches one file of an npm package with npm itself. */
function fetchPackage(spec: string, member: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  try {
    const [archive] = JSON.parse(
      execFileSync('npm', ['pack', spec, '--json', '--pack-destination', dirname(path)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: 120_000,
      }),
    ) as { filename: string }[];
    const content = execFileSync('tar', ['-xzf', archive!.filename, '-O', member], {
      cwd: dirname(path),
      maxBuffer: 1 << 26,
    });
    // Written under another name first: a run that is cut off must not leave half a file.
    writeFileSync(`${path}.part`, content);
    renameSync(`${path}.part`, path);
  } catch (error) {
    throw new Unreachable(`${spec} could not be fetched: ${(error as Error).message.split('\n')[0]}`);
  }
}

/** All of them, smallest first. */
export const modules: readonly RealModule[] = [argon2, wasmboy, wasmoon, quickjs, sqljs, brotli, notes];
