/** The one-way rule of the house: who may import what. */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

interface Import {
  from: string;
  /** A path in the house (`runtime/index.ts`), or a package's name, or `node:…`. */
  to: string;
}

const imports: Import[] = ['contract', 'rewriter', 'runtime', 'cli'].flatMap((folder) =>
  (readdirSync(join(ROOT, folder), { recursive: true }) as string[])
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => importsOf(join(folder, name))),
);

function importsOf(from: string): Import[] {
  const source = readFileSync(join(ROOT, from), 'utf8')
    .replace(/^\s*\/?\*.*$/gm, '')
    .replace(/^\s*\/\/.*$/gm, '');
  const specifiers = [
    ...source.matchAll(/^\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?\s*['"]([^'"]+)['"]/gm),
    ...source.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g),
    ...source.matchAll(/\bnew URL\(\s*['"](\.[^'"]+\.js)['"]\s*,\s*import\.meta\.url/g),
  ].map((match) => match[1]!);
  return specifiers.map((specifier) => ({
    from,
    to: specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : packageOf(specifier),
  }));
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

const inside = (folder: string) => (path: string) => path.startsWith(`${folder}/`);

/** Imports from files of `from` that `forbidden` rejects. */
function offences(from: (path: string) => boolean, forbidden: (path: string) => boolean): string[] {
  return imports.filter((i) => from(i.from) && forbidden(i.to)).map((i) => `${i.from} imports ${i.to}`);
}

test('the scan sees the imports it should', () => {
  assert.ok(imports.some((i) => i.from === 'cli/main.ts' && i.to === 'commander'));
  assert.ok(imports.some((i) => i.from === 'cli/cache.ts' && i.to === 'rewriter/index.js'));
});

test('contract imports nothing of the house, and no package', () => {
  assert.equal(
    offences(inside('contract'), (to) => !to.startsWith('contract/')),
    [],
  );
});

test('runtime imports neither rewriter nor cli', () => {
  assert.equal(
    offences(inside('runtime'), (to) => /^(rewriter|cli)\//.test(to)),
    [],
  );
});

test('rewriter imports neither runtime nor cli', () => {
  assert.equal(
    offences(inside('rewriter'), (to) => /^(runtime|cli)\//.test(to)),
    [],
  );
});

test('rewriter knows nothing of hosts', () => {
  assert.equal(
    offences(inside('rewriter'), (to) => to.startsWith('node:')),
    [],
  );
});

test('only the rewriter imports binaryen and wabt', () => {
  const outside = (path: string) => !path.startsWith('rewriter/');
  assert.equal(
    offences(outside, (to) => to === 'binaryen' || to === 'wabt'),
    [],
  );
});

test('the guest runtime imports nothing of the host and no package', () => {
  const guest = (path: string) => /^runtime\/(index\.ts$|types\.ts$|guest\/|mechanisms\/)/.test(path);
  assert.equal(
    offences(guest, (to) => !/^(contract|runtime)\//.test(to)),
    [],
  );
});

test('nothing imports the command line', () => {
  assert.equal(
    offences((path) => !path.startsWith('cli/'), inside('cli')),
    [],
  );
});

test('every package that is imported is a dependency, and not only of development', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const house = /^(contract|rewriter|runtime|cli)\//;
  const packages = new Set(
    imports.map((i) => i.to).filter((to) => !house.test(to) && !to.startsWith('node:')),
  );
  const missing = [...packages].filter((name) => !(name in dependencies));
  assert.equal(missing, []);
});

test.run();
