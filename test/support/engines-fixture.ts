/** Gives a portable test its fixtures: in Node, Bun and Deno from a file, in a browser from the test's server. */

/** What each fixture comes as (see fixtures.ts). */
export type Variant = 'plain' | 'separate' | 'inline' | 'document';

/** The bytes of a fixture. @throws where it was not written: `node dist/test/support/fixtures.js` does that. */
export async function loadFixture(name: string, variant: Variant): Promise<Uint8Array<ArrayBuffer>> {
  const file = variant === 'document' ? `${name}.document` : `${name}.${variant}.wasm`;
  if ('document' in globalThis) {
    const response = await fetch(`/fixtures/${file}`);
    if (!response.ok) throw new Error(`no fixture ${file}`);
    return new Uint8Array(await response.arrayBuffer());
  }
  const { readFile } = await import('node:fs/promises');
  try {
    return new Uint8Array(await readFile(new URL(`../fixtures/${file}`, import.meta.url)));
  } catch (cause) {
    throw new Error(`no fixture ${file}: run node dist/test/support/fixtures.js`, { cause });
  }
}
