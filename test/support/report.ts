/** A page of docs/ that a bench fills: docs/NAME.md, and beside it docs/NAME/ with pictures. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { ROOT } from './engines.js';

export const DOCS = join(ROOT, 'docs');

/** @throws where the page or its pictures are not those that `write` makes of the stored results, or others than these */
export function checkPage(name: string, write: (folder: string) => void, pictures: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), `belay-${name}-`));
  const page = `${name}.md`;
  try {
    cpSync(join(DOCS, page), join(folder, page));
    write(folder);
    assert.is(readFileSync(join(folder, page), 'utf8'), readFileSync(join(DOCS, page), 'utf8'));
    const found = readdirSync(join(folder, name)).filter((file) => file.endsWith('.svg'));
    assert.equal(found.sort(), pictures);
    for (const picture of found) {
      const svg = readFileSync(join(folder, name, picture), 'utf8');
      assert.is(svg, readFileSync(join(DOCS, name, picture), 'utf8'), picture);
      assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
      assert.not.match(svg, /NaN|undefined|Infinity/);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
