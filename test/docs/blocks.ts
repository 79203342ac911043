/** Code blocks of the documentation, for tests that run them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the package. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export const readDoc = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The contents of the code blocks in one language, in order. */
export function codeBlocks(markdown: string, language: string): string[] {
  return [...markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , code]) => code!);
}

/** The rows of the first table below a heading, as lists of cells; the head and its rule left out. */
export function tableBelow(markdown: string, heading: string): string[][] {
  const lines = markdown.split('\n');
  const at = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  if (at < 0) throw new Error(`no heading '${heading}'`);
  const from = lines.findIndex((line, i) => i > at && line.startsWith('|'));
  const rows: string[][] = [];
  for (let i = from + 2; lines[i]?.startsWith('|'); i++) {
    rows.push(
      lines[i]!.slice(1)
        .replace(/\|\s*$/, '')
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

/** All names in `code` style within a text. */
export const codeNames = (text: string): string[] =>
  [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
