/** QuickJS (quickjs-emscripten): calls of a JavaScript function without arguments. */
import { readFileSync } from 'node:fs';
import { Host, packageFile, type Subject } from './host.js';

const SCRIPT = `(function (n) {
  return function () {
    const o = {}, a = [];
    let s = 0;
    for (let i = 0; i < n; i++) { a.push({ x: i, y: 'k' + (i % 17) }); o['k' + (i % 17)] = (o['k' + (i % 17)] || 0) + i; }
    for (const e of a) s += o[e.y] % 7 + e.x;
    a.sort((p, q) => (p.x * 7919 % 101) - (q.x * 7919 % 101) || p.x - q.x);
    return s + a.map((e) => e.y).join(',').length + JSON.stringify(a[0]).length;
  };
})`;
const SIZES = [30, 31, 32, 33, 34, 35, 36, 37];

export const quickjs: Subject = {
  name: 'quickjs calls',
  request: 'a function that builds, sorts and joins 30 to 37 objects',
  bytes: async () =>
    readFileSync(packageFile('@jitl/quickjs-wasmfile-release-sync', 'dist', 'emscripten-module.wasm')),
  reserve: 128 << 20,
  async start(source) {
    const { newQuickJSWASMModuleFromVariant, newVariant } = await import('quickjs-emscripten-core');
    const { default: variant } = await import('@jitl/quickjs-wasmfile-release-sync');
    const host = new Host(source);
    const wasmMemory = host.importedMemory(256, 32768);
    const engine = await newQuickJSWASMModuleFromVariant(
      newVariant(variant as never, { wasmMemory, emscriptenModule: host.emscripten as never }),
    );
    const vm = engine.newContext();
    const make = vm.unwrapResult(vm.evalCode(SCRIPT));
    const functions = SIZES.map((n) => vm.unwrapResult(vm.callFunction(make, vm.undefined, vm.newNumber(n))));
    return {
      guest: host.guest,
      memory: host.memory,
      request(n) {
        const result = vm.unwrapResult(vm.callFunction(functions[n % SIZES.length]!, vm.undefined));
        const value = vm.getNumber(result);
        result.dispose();
        return value;
      },
      tidy() {},
    };
  },
};
