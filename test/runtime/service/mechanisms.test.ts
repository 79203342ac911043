/** The sample service under every mechanism, from crash to crash: threads, WASI, deadlines and policies included. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument } from '../../../rewriter/index.js';
import type { NamedPolicy } from '../../../runtime/service/load.js';
import { serve } from '../../../runtime/service/node.js';
import { testUnless } from '../../support/engines-skip.js';
import { mechanismVariants } from '../../support/mechanisms.js';
import { command } from './guests.js';

// From dist/test/runtime/service.
const NOTES = readFileSync(fileURLToPath(new URL('../../../../samples/notes/notes.wasm', import.meta.url)));
const CRASHES = ['null', 'stack', 'scribble', 'memory', 'exit'];
/** Those that policies drive get a policy, another one each. */
const POLICIES: Record<string, NamedPolicy> = {
  'page-cow': { name: 'active-cks' },
  mprotect: { name: 'gspec', options: { population: 3 } },
  uffd: { name: 'adaptive' },
};

for (const { name, mechanism, instrument: options, why } of mechanismVariants(2 ** 26)) {
  testUnless(test, why, `${name}: notes survive crashes of every kind`, async () => {
    const { wasm } = instrument(NOTES, {
      ...options,
      ...(mechanism === 'undolog' && { logLimit: 2 ** 27 }),
      steps: true,
    });
    const policy = POLICIES[mechanism];
    const service = await serve(wasm, { port: 0, mechanism, deadline: 60_000, ...(policy && { policy }) });
    const post = async (path: string, body?: string) => {
      const response = await fetch(`${service.url}${path}`, { method: 'POST', ...(body && { body }) });
      await response.arrayBuffer();
      return response.status;
    };
    try {
      const expected: string[] = [];
      for (let round = 0; round < 3; round++) {
        for (const crash of CRASHES) {
          const text = `note ${round} before ${crash}`;
          expected.push(text);
          const answers = await Promise.all([post('/notes', text), post(`/crash/${crash}`)]);
          assert.equal(answers, [201, 500], `${round}: ${crash}`);
        }
      }
      const notes = (await (await fetch(`${service.url}/notes`)).json()) as { text: string }[];
      assert.equal(
        notes.map(({ text }) => text),
        expected,
      );
    } finally {
      await service.close();
    }
  });
}

for (const { name, mechanism, why } of mechanismVariants().filter(({ instrument: o }) => !o.layout)) {
  testUnless(test, why, `${name}: two threads, each with a guest of its own`, async () => {
    const service = await serve(await command({ mechanism }), { port: 0, instances: 2, mechanism });
    try {
      const answers = await Promise.all(
        Array.from({ length: 24 }, async () => (await fetch(`${service.url}/`)).text()),
      );
      assert.is(new Set(answers).size, 1, answers.join('|'));
    } finally {
      await service.close();
    }
  });
}

test.run();
