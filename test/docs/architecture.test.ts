/** What docs/architecture.md says of Binaryen, and of the tree. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import binaryen from 'binaryen';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT, readDoc } from './blocks.js';

const doc = readDoc('docs/architecture.md');

test("Binaryen's interface still lacks what the rewriter would need", () => {
  const names = Object.keys(binaryen);
  const accessors = (instruction: string) =>
    names.filter((name) => new RegExp(`^_Binaryen${instruction}[GS]et`).test(name));
  for (const instruction of ['TableFill', 'TableCopy', 'TableInit', 'ElemDrop', 'TryTable']) {
    assert.ok(names.includes(`_Binaryen${instruction}Id`), `${instruction} has another name now`);
    assert.equal(accessors(instruction), []);
  }
  for (const instruction of ['Store', 'Load', 'MemoryFill', 'MemoryCopy', 'MemoryInit', 'MemoryGrow']) {
    assert.ok(accessors(instruction).length > 0, instruction);
    assert.equal(
      accessors(instruction).filter((name) => /Memory(Name|Index)?$|Get(Dest|Source)Memory/.test(name)),
      [],
    );
  }
});

test('the drawing of the house has the folders that there are', () => {
  const drawing = /^## The house\n\n```\n([\s\S]*?)^```$/m.exec(doc)![1]!;
  let room = '';
  const drawn = new Set<string>();
  for (const [, indent, name] of drawing.matchAll(/^( *)([\w-]+)\/ /gm)) {
    if (!indent) room = name!;
    const path = indent ? `${room}/${name}` : name!;
    assert.ok(existsSync(join(ROOT, path)), `${path}/ does not exist`);
    drawn.add(path);
  }
  for (const entry of readdirSync(join(ROOT, 'runtime'), { withFileTypes: true })) {
    if (entry.isDirectory())
      assert.ok(drawn.has(`runtime/${entry.name}`), `runtime/${entry.name} is not drawn`);
  }
});

test.run();
