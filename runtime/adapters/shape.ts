/**
 * Which exports hand memory to the host, told by name and, where names were minified, by shape. A wrong guess
 * in the direction "hands out memory" only costs time, so guesses lean that way.
 */

/** What an export does with memory, as far as the host is concerned. */
export type Role =
  /** (size) -> pointer */
  | 'alloc'
  /** (count, size) -> pointer */
  | 'calloc'
  /** (alignment, size) -> pointer */
  | 'memalign'
  /** (pointer, size) -> pointer, or wasm-bindgen's (pointer, old size, new size, alignment) */
  | 'realloc'
  /** (size) -> pointer below the last one */
  | 'stack-alloc'
  | 'stack-restore'
  /** (pointer) -> nothing */
  | 'free'
  /** Known, and none of the above. */
  | 'other'
  /** The name says nothing: the shape of each call decides. */
  | 'unknown';

/** Emscripten's minified names (`a`, `Ka`, `_`) and wasm-bindgen's numbered ones. */
const MEANINGLESS = /^(?:[\w$]{1,3}|__wbindgen_export_?\d*)$/;

const ROLES: readonly [RegExp, Role][] = [
  [/stack_?alloc$/i, 'stack-alloc'],
  [/stack_?restore$/i, 'stack-restore'],
  [/realloc(?:_command_export)?$/i, 'realloc'],
  [/calloc$/i, 'calloc'],
  [/(?:memalign|aligned_?alloc)$/i, 'memalign'],
  [/dealloc(?:ate)?$/i, 'free'],
  [/(?:alloc(?:ate)?|malloc_command_export|(?:^|_)__new)$/i, 'alloc'],
  [/(?:^|_)free(?:_command_export)?$/i, 'free'],
];

/** The role that a name tells. */
export function roleOf(name: string): Role {
  if (MEANINGLESS.test(name)) return 'unknown';
  for (const [pattern, role] of ROLES) if (pattern.test(name)) return role;
  return 'other';
}

/**
 * Bytes that a call handed out, or 0 when its role hands out none.
 * @param args the call's arguments, `result` the pointer it returned (both unsigned)
 */
export function handedOut(role: Role, args: readonly unknown[], result: number): number {
  const at = (index: number) => (typeof args[index] === 'number' ? (args[index] as number) >>> 0 : 0);
  switch (role) {
    case 'alloc':
    case 'stack-alloc':
      return at(0);
    case 'calloc':
      return at(0) * at(1);
    case 'memalign':
      return at(1);
    case 'realloc':
      return args.length >= 3 ? at(2) : at(1);
    case 'unknown':
      return guess(args, result, at);
    default:
      return 0;
  }
}

function guess(args: readonly unknown[], result: number, at: (index: number) => number): number {
  switch (args.length) {
    case 1:
      return at(0);
    case 2:
      // wasm-bindgen: (size, alignment); Emscripten: memalign(alignment, size).
      if (isPower(at(1)) && at(1) <= 16) return at(0);
      if (isPower(at(0)) && at(0) >= 8 && result % at(0) === 0) return at(1);
      return 0;
    case 4:
      // wasm-bindgen: (pointer, old size, new size, alignment).
      return isPower(at(3)) && at(3) <= 16 ? at(2) : 0;
    default:
      return 0;
  }
}

function isPower(n: number): boolean {
  return n > 0 && (n & (n - 1)) === 0;
}
