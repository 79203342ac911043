/** Links lead somewhere, files that are named exist, and every dependency is accounted for. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codeNames, ROOT, readDoc, tableBelow } from './blocks.js';

const files = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...(readdirSync(join(ROOT, 'docs'), { recursive: true }) as string[]).map((name) => `docs/${name}`),
  ...(readdirSync(join(ROOT, 'samples'), { recursive: true }) as string[]).map((name) => `samples/${name}`),
].filter((name) => name.endsWith('.md'));

/** Made by `npm run bench` and `npm run bench:mechanisms`. */
const GENERATED = ['docs/measurements.md', 'docs/mechanisms-measured.md'];

/** The anchor that GitHub makes of a heading. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replace(/ /g, '-');

const withoutCode = (text: string) => text.replace(/^```[\s\S]*?^```$/gm, '');

for (const file of files) {
  const text = withoutCode(readDoc(file));
  test(`${file}: links`, () => {
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path, fragment] = target!.split('#') as [string, string?];
      const to = path ? normalize(join(dirname(file), path)) : file;
      if (GENERATED.includes(to) && !existsSync(join(ROOT, to))) continue;
      assert.ok(existsSync(join(ROOT, to)), `${target} leads nowhere`);
      if (fragment === undefined) continue;
      assert.ok(statSync(join(ROOT, to)).isFile(), target);
      const anchors = [...withoutCode(readDoc(to)).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
        anchor(heading!),
      );
      assert.ok(anchors.includes(fragment), `${to} has no heading for #${fragment}`);
    }
  });
  test(`${file}: files that it names`, () => {
    for (const name of codeNames(text)) {
      if (!/^(bench|cli|contract|docs|rewriter|runtime|samples|scripts|test)\/[\w./-]*$/.test(name)) continue;
      const generated = GENERATED.includes(name) || name === 'bench/';
      if (!generated) assert.ok(existsSync(join(ROOT, name)), `${name} does not exist`);
    }
  });
}

test('every document is in the index', () => {
  const index = readDoc('docs/README.md');
  for (const file of files) {
    if (!/^docs\/(?!README)[^/]+\.md$/.test(file)) continue;
    assert.ok(index.includes(`(${file.slice(5)})`), `docs/README.md does not list ${file}`);
  }
});

test('every dependency is explained, and no other', () => {
  const { dependencies, devDependencies } = JSON.parse(readDoc('package.json'));
  const doc = readDoc('docs/dependencies.md');
  const named = (heading: string) =>
    tableBelow(doc, heading)
      .flatMap(([cell]) => cell!.split(', '))
      .sort();
  assert.equal(named('For use'), Object.keys(dependencies).sort());
  assert.equal(named('For development'), Object.keys(devDependencies).sort());
});

test.run();
