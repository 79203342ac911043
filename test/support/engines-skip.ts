/** Tests that only some engines can run: skipped with a reason that the test run prints. Works everywhere. */
import type { Callback, Test } from 'uvu';

/**
 * Adds a test, or skips it where `why` gives a reason.
 *
 *     testUnless(test, hasMemories ? undefined : 'this engine has one memory', 'separate layout', () => …);
 */
export function testUnless<T>(
  test: Test<T>,
  why: string | undefined | false,
  name: string,
  handler: Callback<T>,
): void {
  if (!why) {
    test(name, handler);
    return;
  }
  console.log(`\nSKIP ${name}\t${why}`);
  test.skip(name, handler);
}

/** Whether this engine takes a module with two memories. */
export const HAS_MEMORIES: boolean = WebAssembly.validate(
  new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, 5, 2, 0, 0, 0, 0]),
);

/**
 * Why long tests of other mechanisms than lmc are not run here: Node 22 is between Node 20, which has one memory a
 * module, and Node 24, which has several. Both run them.
 */
export const BETWEEN: string | undefined =
  typeof process === 'object' && /^22\./.test(process.versions?.node ?? '') && !process.versions.bun
    ? 'Node 20 and Node 24 run it'
    : undefined;
