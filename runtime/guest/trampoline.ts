/**
 * Makes a WebAssembly function of a JavaScript one, so that it can be an element of a table, by a module of
 * 30 bytes: (module (import "b" "t" (func)) (export "t" (func 0))).
 */
const TRAMPOLINE = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 7, 1, 1, 98, 1, 116, 0, 0, 7, 5, 1, 1, 116, 0, 0,
]);

/** @throws where no code may be generated at run time (workerd) */
export function wasmFunction(fn: () => void): WebAssembly.ExportValue {
  const module = new WebAssembly.Module(TRAMPOLINE);
  return new WebAssembly.Instance(module, { b: { t: fn } }).exports.t!;
}
