/**
 * The JavaScript side of @wasmer/wasi's own Wasm module (wasm-bindgen 0.2), rewritten so that it can be
 * rolled back together with that module.
 *
 * The package's glue will not do, for four reasons: it holds one instance for all WASI objects of a process,
 * so that rolling back one guest's files would roll back everybody's; it writes into the module's memory
 * through typed arrays, which no instrumented store sees; its heap of JavaScript objects, which the module
 * refers to by number, is private; and it gives the module the guest's whole memory, support area included.
 *
 * Here each {@link Glue} is one instance with one heap. Writes into either memory are announced before they
 * happen, to the byte. The heap is state: a checkpoint keeps a copy of it (some hundred references), so
 * that after a rollback every number means what it meant, and objects dropped since are back.
 *
 * Nothing here is called at any other time than during a call into the module.
 */
import type { Guest } from '../types.js';
import { memoryBytes } from './memory.js';
import { type Bound, bind, ObjectReader, ObjectWriter, type Surroundings } from './objects.js';
import { damaged, isIndex } from './saved.js';
import type { Sources } from './sources.js';
import { StandInInstance, StandInMemory, StandInModule } from './stand-ins.js';

/** The module's exports that the glue and its users call. */
export interface GlueExports {
  memory: WebAssembly.Memory;
  __wbindgen_export_2: WebAssembly.Table;
  __wbindgen_malloc(bytes: number): number;
  __wbindgen_free(pointer: number, bytes: number): void;
  __wbindgen_exn_store(object: number): void;
  __wbindgen_add_to_stack_pointer(delta: number): number;
  [name: string]: unknown;
}

// Numbers below 36 are fixed: 32 unused ones and these four.
const FIXED = [...new Array(32).fill(undefined), undefined, null, true, false];

const decoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const encoder = new TextEncoder();

type Import = (...args: never[]) => unknown;

/** A {@link Glue}'s heap as data; see objects.ts for what its values are. */
export interface SavedHeap {
  /** All entries above the fixed ones; null where they are free. */
  heap: readonly unknown[];
  free: readonly number[];
  taken: readonly unknown[];
  objects: readonly unknown[];
}

export class Glue {
  /** The guest that the file system serves: a memory the module writes into from outside. */
  readonly #served: () => Guest;
  readonly #sources: Sources;
  /** The module itself, as a guest. */
  #self: Guest | undefined;
  /** The guest's memory, as the module last saw it. Every view of it comes from here. */
  #guestBuffer: ArrayBuffer | undefined;
  #heap: unknown[] = [...FIXED];
  /** First entry of the list of free numbers, which runs through the heap. */
  #next = FIXED.length;
  #savedHeap: unknown[] = [];
  #savedNext = 0;
  readonly #bound = new WeakMap<object, Bound>();

  /** @param served gives the guest, once there is one. */
  constructor(served: () => Guest, sources: Sources) {
    this.#served = served;
    this.#sources = sources;
  }

  /** Names the instance that the imports belong to. */
  bind(self: Guest): void {
    this.#self = self;
  }

  get exports(): GlueExports {
    if (!this.#self) throw new Error('the glue has no instance yet');
    return this.#self.instance.exports as unknown as GlueExports;
  }

  checkpoint(): void {
    this.#savedHeap = this.#heap.slice();
    this.#savedNext = this.#next;
  }

  rollback(): void {
    this.#heap = this.#savedHeap.slice();
    this.#next = this.#savedNext;
  }

  /**
   * The heap as data, and with it objects that were taken from it: the numbers of the free entries in the order in
   * which they will be used, and of each other entry its object.
   * @throws ERR_BELAY_STATE naming an object that cannot be said
   */
  save(taken: readonly unknown[]): SavedHeap {
    const writer = new ObjectWriter(this.#surroundings);
    const free: number[] = [];
    for (let at = this.#next; at < this.#heap.length; at = this.#heap[at] as number) free.push(at);
    const unused = new Set(free);
    const heap = this.#heap.map((object, at) => (unused.has(at) ? null : writer.value(object)));
    const values = taken.map((object) => writer.value(object));
    return { heap: heap.slice(FIXED.length), free, taken: values, objects: writer.list };
  }

  /**
   * What {@link load} needs to make this the heap, and the objects that were saved with it. Changes nothing.
   * @throws ERR_BELAY_STATE
   */
  read(saved: SavedHeap): { heap: unknown[]; next: number; taken: unknown[] } {
    const reader = new ObjectReader(saved.objects, this.#surroundings);
    const heap = [...FIXED, ...saved.heap.map((value) => reader.value(value))];
    // The list of free entries ends in the number of the entry that would be added.
    const ends = [...saved.free, heap.length];
    for (const [i, at] of saved.free.entries()) {
      if (!isIndex(at, heap.length - 1) || at < FIXED.length || typeof heap[at] === 'number') {
        throw damaged('files', 'its list of free numbers is none');
      }
      heap[at] = ends[i + 1];
    }
    return { heap, next: ends[0]!, taken: saved.taken.map((value) => reader.value(value)) };
  }

  load({ heap, next }: { heap: unknown[]; next: number }): void {
    this.#heap = heap;
    this.#next = next;
    this.#guestBuffer = undefined;
  }

  get #surroundings(): Surroundings {
    return { table: this.exports.__wbindgen_export_2, bound: this.#bound, served: this.#served };
  }

  /** Number of an object: hands it to the module. */
  add(object: unknown): number {
    if (this.#next === this.#heap.length) this.#heap.push(this.#heap.length + 1);
    const index = this.#next;
    this.#next = this.#heap[index] as number;
    this.#heap[index] = object;
    return index;
  }

  get(index: number): unknown {
    return this.#heap[index];
  }

  drop(index: number): void {
    if (index < FIXED.length) return;
    this.#heap[index] = this.#next;
    this.#next = index;
  }

  /** The object of a number that the module gives away. */
  take(index: number): unknown {
    const object = this.#heap[index];
    this.drop(index);
    return object;
  }

  /** Bytes in a block of the module's own memory; who receives the block frees it. */
  passBytes(bytes: Uint8Array): [pointer: number, length: number] {
    const pointer = this.exports.__wbindgen_malloc(bytes.length) >>> 0;
    if (bytes.length > 0) this.#self!.write(pointer, bytes);
    return [pointer, bytes.length];
  }

  passString(text: string): [pointer: number, length: number] {
    return this.passBytes(encoder.encode(text));
  }

  /** A copy of a range of the module's own memory. */
  bytes(pointer: number, length: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer).slice(pointer >>> 0, (pointer >>> 0) + length);
  }

  string(pointer: number, length: number): string {
    return decoder.decode(new Uint8Array(this.exports.memory.buffer, pointer >>> 0, length));
  }

  /**
   * Calls a function that returns a struct through a pointer, its first argument.
   * @param words 32-bit words of the struct; the last is an error flag, the one before the error's number.
   * @returns the words before these two, or none when there are just two.
   * @throws whatever the module reports.
   */
  call(words: number, run: (result: number) => void): number[] {
    const { exports } = this;
    const result = exports.__wbindgen_add_to_stack_pointer(-16) >>> 0;
    try {
      run(result);
      const view = new DataView(exports.memory.buffer);
      const values: number[] = [];
      for (let i = 0; i < words; i++) values.push(view.getUint32(result + i * 4, true));
      if (values[words - 1] !== 0) throw this.take(values[words - 2]!);
      return values.slice(0, words - 2);
    } finally {
      exports.__wbindgen_add_to_stack_pointer(16);
    }
  }

  /** Announces a write through a view of whichever memory. */
  #announce(view: Uint8Array, offset: number, length: number): void {
    if (length === 0) return;
    const start = view.byteOffset + offset;
    if (view.buffer === this.exports.memory.buffer) this.#self!.touch(start, length);
    else if (view.buffer === this.#guestBuffer) this.#served().touch(start, length);
  }

  #storeU32(pointer: number, ...values: number[]): void {
    this.#self!.touch(pointer >>> 0, values.length * 4);
    const view = new DataView(this.exports.memory.buffer);
    for (const [i, value] of values.entries()) view.setUint32((pointer >>> 0) + i * 4, value, true);
  }

  /** A view of a whole buffer: of the guest's memory, only what the guest believes to have. */
  #view(buffer: ArrayBuffer): Uint8Array {
    return buffer === this.#guestBuffer
      ? new Uint8Array(buffer, 0, memoryBytes(this.#served()))
      : new Uint8Array(buffer);
  }

  /** A property of an object; of the guest's memory, too, the length is what the guest believes it to be. */
  #property(object: unknown, name: string): unknown {
    if (object === this.#guestBuffer && name === 'byteLength') return memoryBytes(this.#served());
    return Reflect.get(object as object, name);
  }

  /** Errors of `run` are handed to the module, as wasm-bindgen's `catch` does. */
  #guarded(run: Import): Import {
    return (...args) => {
      try {
        return run(...args);
      } catch (error) {
        this.exports.__wbindgen_exn_store(this.add(error));
        return undefined;
      }
    };
  }

  /** The module's imports; their names carry hashes of their signatures, so each is what it was built for. */
  imports(): { wbg: Record<string, Import> } {
    const get = <T>(index: number) => this.#heap[index] as T;
    const add = (object: unknown) => this.add(object);
    const instance = (test: (value: unknown) => boolean) => (index: number) => (test(get(index)) ? 1 : 0);
    const property = (name: string) => (index: number) => add(get<Record<string, unknown>>(index)[name]);
    const text = (result: number, value: unknown) => {
      if (typeof value === 'string') this.#storeU32(result, ...this.passString(value));
      else this.#storeU32(result, 0, 0);
    };
    const length = (index: number) => get<{ length: number }>(index).length;
    const root = () => add(globalThis);
    type Callable = (...args: unknown[]) => unknown;

    const wbg: Record<string, Import> = {
      __wbindgen_object_clone_ref: (a: number) => add(get(a)),
      __wbindgen_object_drop_ref: (a: number) => this.drop(a),
      __wbindgen_string_new: (a: number, b: number) => add(this.string(a, b)),
      __wbindgen_number_new: (a: number) => add(a),
      __wbindgen_bigint_from_u64: (a: bigint) => add(BigInt.asUintN(64, a)),
      __wbindgen_is_string: instance((value) => typeof value === 'string'),
      __wbindgen_is_object: instance((value) => typeof value === 'object' && value !== null),
      __wbindgen_is_function: instance((value) => typeof value === 'function'),
      __wbindgen_is_symbol: instance((value) => typeof value === 'symbol'),
      __wbindgen_is_undefined: instance((value) => value === undefined),
      __wbindgen_typeof: (a: number) => add(typeof get(a)),
      __wbindgen_jsval_eq: (a: number, b: number) => (get(a) === get(b) ? 1 : 0),
      __wbindgen_string_get: (result: number, a: number) => text(result, get(a)),
      __wbindgen_debug_string: (result: number, a: number) => text(result, String(get(a))),
      __wbindgen_boolean_get: (a: number) => {
        const value = get(a);
        return typeof value === 'boolean' ? Number(value) : 2;
      },
      __wbindgen_number_get: (result: number, a: number) => {
        const value = get(a);
        this.#storeU32(result, typeof value === 'number' ? 1 : 0);
        this.#self!.touch((result >>> 0) + 8, 8);
        const number = typeof value === 'number' ? value : 0;
        new DataView(this.exports.memory.buffer).setFloat64((result >>> 0) + 8, number, true);
      },
      __wbindgen_memory: () => add(this.exports.memory),
      __wbindgen_function_table: () => add(this.exports.__wbindgen_export_2),
      __wbindgen_throw: (a: number, b: number) => {
        throw new Error(this.string(a, b));
      },
      __wbindgen_rethrow: (a: number) => {
        throw this.take(a);
      },

      // Memory and views of it.
      __wbg_buffer_3f3d764d4747d564: (a: number) => {
        const memory = get<WebAssembly.Memory | StandInMemory>(a);
        if (memory instanceof StandInMemory) this.#guestBuffer = memory.buffer;
        return add(memory.buffer);
      },
      __wbg_new_8c3f0052272a457a: (a: number) => add(this.#view(get(a))),
      __wbg_newwithbyteoffsetandlength_d9aa266703cb98be: (a: number, b: number, c: number) =>
        add(new Uint8Array(get<ArrayBuffer>(a), b >>> 0, c >>> 0)),
      __wbg_newwithlength_f5933855e4f48a19: (a: number) => add(new Uint8Array(a >>> 0)),
      __wbg_subarray_58ad4efbb5bcb886: (a: number, b: number, c: number) =>
        add(get<Uint8Array>(a).subarray(b >>> 0, c >>> 0)),
      __wbg_length_9e1ae1900cb0fbd5: length,
      __wbg_set_83db9690f9353e79: (a: number, b: number, c: number) => {
        const [target, source] = [get<Uint8Array>(a), get<Uint8Array>(b)];
        // Out of range, `set` throws before it writes.
        if ((c >>> 0) + source.length <= target.length) this.#announce(target, c >>> 0, source.length);
        target.set(source, c >>> 0);
      },

      // Random numbers, of which the module seeds its hash tables.
      __wbg_crypto_e1d53a1d73fb10b8: property('crypto'),
      __wbg_msCrypto_6e7d3e1f92610cbb: property('msCrypto'),
      __wbg_process_038c26bf42b093f8: property('process'),
      __wbg_versions_ab37218d2f0b24a8: property('versions'),
      __wbg_node_080f4b19d15bc1fe: property('node'),
      __wbg_require_78a3dcfbdba9cbce: () => {
        throw new Error('no require() here');
      },
      __wbg_getRandomValues_805f1c3d65988a5a: (_crypto: number, b: number) => {
        const view = get<Uint8Array<ArrayBuffer>>(b);
        this.#announce(view, 0, view.length);
        this.#sources.random(view);
      },
      __wbg_randomFillSync_6894564c2c334c42: (_crypto: number, b: number, c: number) => {
        this.#self!.touch(b >>> 0, c >>> 0);
        this.#sources.random(new Uint8Array(this.exports.memory.buffer, b >>> 0, c >>> 0));
      },

      // Objects.
      __wbg_new_0b9bfdd97583284e: () => add({}),
      __wbg_new_1d9a920c6bfc44a8: () => add([]),
      __wbg_newwithlength_7c42f7e738a9d5d3: (a: number) => add(new Array(a >>> 0)),
      __wbg_new_8d2af00bc1e329ee: (a: number, b: number) => add(new Error(this.string(a, b))),
      __wbg_get_57245cc7d7c7619d: (a: number, b: number) => add(get<unknown[]>(a)[b >>> 0]),
      __wbg_get_765201544a2b6869: (a: number, b: number) => add(this.#property(get(a), get(b) as string)),
      __wbg_set_bf3f89b92d5a34bf: (a: number, b: number, c: number) => {
        const target = get<object>(a);
        if (ArrayBuffer.isView(target)) throw new TypeError('memory is not written by element');
        return Reflect.set(target, get(b) as string, get(c)) ? 1 : 0;
      },
      __wbg_length_6e3bbe7c8bd4dbd8: length,
      __wbg_push_740e4b286702d964: (a: number, b: number) => get<unknown[]>(a).push(get(b)),
      __wbg_isArray_27c46c67f498e15d: instance(Array.isArray),
      __wbg_entries_65a76a413fc91037: (a: number) => add(Object.entries(get<object>(a))),
      __wbg_getPrototypeOf_c046822345b14263: (a: number) => add(Reflect.getPrototypeOf(get<object>(a))),
      __wbg_constructor_20fd216941fe9866: property('constructor'),
      __wbg_static_accessor_SYMBOL_45d4d15e3c4aeb33: () => add(Symbol),
      __wbg_wasmerruntimeerror_new: () => add(new Error('the file system reported an error')),

      // Functions.
      __wbg_self_6d479506f72c6a71: root,
      __wbg_window_f2557cc78490aceb: root,
      __wbg_globalThis_7f206bda628d5286: root,
      __wbg_global_ba75c50d1cf384f4: root,
      __wbg_newnoargs_b5b063fc6c2f0376: () => {
        throw new Error('no code is made from strings here');
      },
      __wbg_call_97ae9d8645dc388b: (a: number, b: number) => add(get<Callable>(a).call(get(b))),
      __wbg_call_168da88779e35f61: (a: number, b: number, c: number) =>
        add(get<Callable>(a).call(get(b), get(c))),
      __wbg_apply_75f7334893eef4ad: (a: number, b: number, c: number) =>
        add(Reflect.apply(get<Callable>(a), get(b), get<unknown[]>(c))),
      __wbg_bind_10dfe70e95d2a480: (a: number, b: number, c: number, d: number) =>
        add(bind(this.#bound, get<Callable>(a), get(b), get(c), get(d))),

      // Dates: times of files.
      __wbg_new0_a57059d72c5b7aee: () => add(new Date(Number(this.#sources.now() / 1_000_000n))),
      __wbg_getTime_cb82adb2556ed13e: (a: number) => get<Date>(a).getTime(),
      __wbg_getTimezoneOffset_89bd4275e1ca8341: (a: number) => get<Date>(a).getTimezoneOffset(),

      // WebAssembly objects. The module gets stand-ins for the guest's instance and memory.
      __wbg_get_19328b9e516e0330: (a: number, b: number) => add(get<WebAssembly.Table>(a).get(b >>> 0)),
      __wbg_imports_5d97b92618ae2b69: (a: number) => add(get<StandInModule>(a).imports),
      __wbg_exports_4db28c393be16bc5: (a: number) => add(get<StandInModule>(a).exports),
      __wbg_exports_1f32da4bc6734cea: property('exports'),
      __wbg_new_1c5d2ff1edfe6d73: () => {
        throw new Error('guests are not instantiated here');
      },
      __wbg_instanceof_Object_595a1007518cbea3: instance((value) => value instanceof Object),
      __wbg_instanceof_Function_056d5b3aef8aaa85: instance((value) => typeof value === 'function'),
      __wbg_instanceof_Module_09da91721979648d: instance((value) => value instanceof StandInModule),
      __wbg_instanceof_Instance_b0fc12339921a27e: instance((value) => value instanceof StandInInstance),
      __wbg_instanceof_Memory_f1dc0d9a83a9c8ea: instance(
        (value) => value instanceof StandInMemory || value instanceof WebAssembly.Memory,
      ),
      __wbg_instanceof_Table_aab62205c7444b79: instance((value) => value instanceof WebAssembly.Table),
      __wbg_instanceof_Global_6ae38baa556a9042: instance((value) => value instanceof WebAssembly.Global),
    };
    for (const name of GUARDED) wbg[name] = this.#guarded(wbg[name]!);
    return { wbg };
  }
}

/** Imports whose errors the module wants to see. */
const GUARDED = [
  '__wbg_get_19328b9e516e0330',
  '__wbg_get_765201544a2b6869',
  '__wbg_getPrototypeOf_c046822345b14263',
  '__wbg_set_bf3f89b92d5a34bf',
  '__wbg_self_6d479506f72c6a71',
  '__wbg_window_f2557cc78490aceb',
  '__wbg_globalThis_7f206bda628d5286',
  '__wbg_global_ba75c50d1cf384f4',
  '__wbg_call_168da88779e35f61',
  '__wbg_call_97ae9d8645dc388b',
  '__wbg_apply_75f7334893eef4ad',
  '__wbg_new_1c5d2ff1edfe6d73',
  '__wbg_require_78a3dcfbdba9cbce',
  '__wbg_randomFillSync_6894564c2c334c42',
  '__wbg_getRandomValues_805f1c3d65988a5a',
];
