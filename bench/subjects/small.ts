/** Modules that need next to no glue: a Game Boy (wasmboy), argon2 (hash-wasm), Brotli (brotli-wasm). */
import {
  argon2 as argon2Module,
  brotli as brotliModule,
  wasmboy as wasmboyModule,
} from '../../test/support/modules.js';
import { evaluate, Host, packageFile, type Subject } from './host.js';

type Functions<Name extends string> = Record<Name, (...values: number[]) => number>;

/** A Game Boy program that scrolls the screen and fills memory for ever. */
function cartridge(): Uint8Array {
  const rom = new Uint8Array(32768);
  rom.set([0x00, 0xc3, 0x50, 0x01], 0x100); // nop; jp 0150
  rom.set([0x21, 0x00, 0x80], 0x150); // ld hl, 8000
  rom.set([0x34, 0x23, 0x7c, 0xfe, 0xdf, 0x20, 0xf9], 0x153); // inc (hl); inc hl; ld a, h; cp df; jr nz, -7
  rom.set([0xf0, 0x43, 0x3c, 0xe0, 0x43], 0x15a); // ldh a, (43); inc a; ldh (43), a
  rom.set([0xc3, 0x50, 0x01], 0x15f); // jp 0150
  return rom;
}

export const wasmboy: Subject = {
  name: 'wasmboy frames',
  request: 'one frame of a Game Boy',
  bytes: () => wasmboyModule.bytes(),
  reserve: 32 << 20,
  async start(source) {
    const host = new Host(source);
    const abort = () => {
      throw new Error('the module called abort');
    };
    const { exports } = host.instantiate({ env: { abort } });
    const game = exports as unknown as Functions<'config' | 'executeFrame' | 'clearAudioBuffer'> &
      Functions<'getProgramCounter'> & { CARTRIDGE_ROM_LOCATION: WebAssembly.Global };
    host.write(game.CARTRIDGE_ROM_LOCATION.value as number, cartridge());
    game.config(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return {
      guest: host.guest,
      memory: host.memory,
      request() {
        const status = game.executeFrame();
        game.clearAudioBuffer();
        return status * 65536 + game.getProgramCounter();
      },
      tidy() {},
    };
  },
};

const KIBIBYTES = 256;

export const argon2: Subject = {
  name: 'argon2',
  request: `one hash over ${KIBIBYTES} KiB, one pass`,
  bytes: () => argon2Module.bytes(),
  reserve: 16 << 20,
  async start(source) {
    const host = new Host(source);
    const { exports } = host.instantiate({});
    const hash = exports as unknown as Functions<'Hash_SetMemorySize' | 'Hash_GetBuffer' | 'Hash_Calculate'>;
    const buffer = hash.Hash_GetBuffer();
    hash.Hash_SetMemorySize(KIBIBYTES * 1024 + 1024);
    const parameters = new Uint8Array(Uint32Array.of(1, 32, KIBIBYTES, 1, 0x13, 2).buffer);
    const block = Uint8Array.from({ length: 2048 }, (_, i) => i * 31);
    let view = new DataView(host.memory.buffer);
    return {
      guest: host.guest,
      memory: host.memory,
      request(n) {
        block[0] = n;
        host.write(buffer + KIBIBYTES * 1024, parameters);
        host.write(buffer, block);
        hash.Hash_Calculate(0, KIBIBYTES);
        if (view.byteLength === 0) view = new DataView(host.memory.buffer);
        return view.getUint32(buffer, true);
      },
      tidy() {},
    };
  },
};

interface Brotli {
  compress(input: Uint8Array, options: { quality: number }): Uint8Array;
}

const words = Array.from({ length: 97 }, (_, i) => `w${(i * 7919) % 997}`);
const texts = Array.from({ length: 4 }, (_, n) => {
  const text = Array.from({ length: 1200 }, (_, i) => words[(i * i + n) % words.length]).join(' ');
  return new TextEncoder().encode(text).slice(0, 4096);
});

export const brotli: Subject = {
  name: 'brotli-wasm',
  request: 'compress 4 KiB of text, quality 5',
  bytes: () => brotliModule.bytes(),
  reserve: 64 << 20,
  async start(source) {
    const host = new Host(source, '__wbindgen_malloc');
    const { compress } = evaluate<Brotli>(packageFile('brotli-wasm', 'pkg.node', 'brotli_wasm.js'), host);
    return {
      guest: host.guest,
      memory: host.memory,
      request: (n) => compress(texts[n % texts.length]!, { quality: 5 }).length,
      tidy() {},
    };
  },
};
