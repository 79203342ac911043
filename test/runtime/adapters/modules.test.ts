/**
 * Real modules through their own glue: every host write is tracked (audit says so), and a guest that was rolled
 * back cannot be told from a twin that never ran the step.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type InstrumentOptions, instrument } from '../../../rewriter/index.js';
import { BETWEEN, testUnless } from '../../support/engines-skip.js';
import { exposeState } from '../../support/expose.js';
import { mechanismVariants } from '../../support/mechanisms.js';
import { modules, type RealModule, Unreachable, type Workload } from '../../support/modules.js';
import { compare, snapshot } from '../../support/oracle.js';

const STEPS = 8;
/** Regions of one byte save exactly what was announced; larger ones may hide that something was not. */
const REGIONS = [1, 64, 4096];

/** Every byte, size, global and table, as far as the guest sees them. */
function assertSame(a: Workload, b: Workload, when: string): void {
  const difference = compare(snapshot(a.guest!), snapshot(b.guest!));
  if (difference) assert.unreachable(`${when}: ${difference}`);
}

async function workload(
  module: RealModule,
  options: InstrumentOptions,
): Promise<[Workload, Workload] | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await module.bytes();
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    console.log(`\nSKIP ${module.name}: ${error.message}`);
    return undefined;
  }
  const { wasm } = instrument(exposeState(bytes), options);
  const compiled = await WebAssembly.compile(wasm as Uint8Array<ArrayBuffer>);
  return [await module.load(compiled, { audit: true }), await module.load(compiled)];
}

/** lmc with every region, then every other mechanism. */
function variantsOf(module: RealModule): { name: string; options: InstrumentOptions; why?: string }[] {
  return mechanismVariants().flatMap(({ mechanism, name, instrument, why }) => {
    const { layout } = instrument;
    const options = {
      ...(layout === 'separate' || layout === 'inline' ? module.options(layout) : {}),
      mechanism,
      // Its log has to hold what a few steps store.
      ...(mechanism === 'undolog' && { logLimit: (layout === 'inline' ? 256 : 1024) * 2 ** 20 }),
    };
    const reason = why ?? (mechanism === 'lmc' ? undefined : BETWEEN);
    const skip = reason === undefined ? {} : { why: reason };
    if (mechanism !== 'lmc') return [{ name, options, ...skip }];
    return REGIONS.map((region) => ({
      name: `${name}, region ${region}`,
      options: { ...options, region },
      ...skip,
    }));
  });
}

for (const module of modules) {
  for (const { name, options, why } of variantsOf(module)) {
    testUnless(test, why, `${module.name}, ${name}: tracked, and rolled back to the byte`, async () => {
      const pair = await workload(module, options);
      if (!pair) return;
      const [subject, twin] = pair;
      const guest = subject.guest!;
      assertSame(subject, twin, 'loaded');
      guest.checkpoint();
      for (let n = 0; n < STEPS; n++) {
        // Away from the checkpoint and back, twice: a rollback begins an epoch of its own.
        const first = subject.step(n);
        guest.rollback();
        subject.step(n + 1);
        subject.step(n + 2);
        guest.rollback();
        assertSame(subject, twin, `rolled back at step ${n}`);
        assert.equal(subject.step(n), first, `step ${n} again`);
        assert.equal(twin.step(n), first, `step ${n} of the twin`);
        assertSame(subject, twin, `after step ${n}`);
        guest.checkpoint();
      }
      for (const one of pair) one.guest![Symbol.dispose]();
    });
  }
}

test.run();
