/**
 * Runs random cases, and keeps and shrinks those that fail.
 *
 *     node dist/test/random/run.js [--count 2000] [--seed 1] [--kind flow,wasm-opt] [--keep FOLDER]
 *     node dist/test/random/run.js --case FOLDER/NAME.tape
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { randomBytes } from '../support/generate.js';
import { describeCase, type Kind, runCase } from './case.js';
import { KINDS } from './kinds.js';
import { shrink } from './shrink.js';

export interface Campaign {
  count: number;
  seed: number;
  /** Names of kinds; all of them by default. */
  kinds?: readonly string[];
  /** Where failing cases go. */
  keep: string;
  /** Failures after which to stop. */
  most?: number;
  log?: (line: string) => void;
}

export interface CampaignResult {
  cases: number;
  calls: number;
  traps: number;
  rollbacks: number;
  /** Cases that said nothing, by reason. */
  inconclusive: Record<string, number>;
  byKind: Record<string, number>;
  failures: { kind: string; seed: number; message: string; file: string }[];
}

/** wasm-opt is slower than the others, and finds less: one case in so many is its. */
const SLOW_SHARE = 8;

function kindOf(kinds: readonly Kind[], n: number): Kind {
  const slow = kinds.filter((k) => k.name.startsWith('wasm-opt'));
  const fast = kinds.filter((k) => !k.name.startsWith('wasm-opt'));
  if (!fast.length || (slow.length && n % SLOW_SHARE === 0))
    return slow[Math.floor(n / SLOW_SHARE) % slow.length]!;
  return fast[n % fast.length]!;
}

const message = (error: unknown) =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error);

async function failureOf(kind: Kind, bytes: Uint8Array): Promise<string | undefined> {
  try {
    await runCase(kind, bytes);
    return undefined;
  } catch (error) {
    return message(error);
  }
}

export async function campaign(options: Campaign): Promise<CampaignResult> {
  const log = options.log ?? (() => {});
  const kinds = options.kinds ? KINDS.filter((k) => options.kinds!.includes(k.name)) : KINDS;
  if (!kinds.length) throw new Error(`no such kind: there are ${KINDS.map((k) => k.name).join(', ')}`);
  const result: CampaignResult = {
    cases: 0,
    calls: 0,
    traps: 0,
    rollbacks: 0,
    inconclusive: {},
    byKind: {},
    failures: [],
  };
  for (let n = 0; n < options.count; n++) {
    const kind = kindOf(kinds, n);
    const seed = (Math.imul(options.seed, 1_000_003) + n) >>> 0;
    const bytes = randomBytes(seed, kind.tape);
    result.cases++;
    result.byKind[kind.name] = (result.byKind[kind.name] ?? 0) + 1;
    try {
      const one = await runCase(kind, bytes);
      result.calls += one.calls;
      result.traps += one.traps;
      result.rollbacks += one.rollbacks;
      if (one.inconclusive) {
        result.inconclusive[one.inconclusive] = (result.inconclusive[one.inconclusive] ?? 0) + 1;
      }
    } catch (error) {
      const file = await keepCase(kind, bytes, seed, options.keep);
      result.failures.push({ kind: kind.name, seed, message: message(error), file });
      log(`FAIL ${kind.name}, seed ${seed}: ${message(error)}\n     kept as ${file}.tape and .wasm`);
      if (result.failures.length >= (options.most ?? 5)) break;
    }
    if ((n + 1) % 500 === 0) log(`${n + 1} cases, ${result.failures.length} failed`);
  }
  return result;
}

/** Shrinks a failing case and writes its tape, its module and what it is. Returns the path without ending. */
async function keepCase(kind: Kind, bytes: Uint8Array, seed: number, folder: string): Promise<string> {
  const small = await shrink(bytes, async (candidate) => (await failureOf(kind, candidate)) !== undefined);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${kind.name}-${seed}`);
  const { options, wasm } = await describeCase(kind, small);
  writeFileSync(`${path}.tape`, small);
  writeFileSync(`${path}.wasm`, wasm);
  writeFileSync(
    `${path}.json`,
    `${JSON.stringify({ kind: kind.name, seed, options, failure: await failureOf(kind, small) }, null, 2)}\n`,
  );
  return path;
}

/** Runs a kept tape again. @throws what it fails with */
export async function replay(file: string, bytes: Uint8Array): Promise<void> {
  const name = basename(file).replace(/-\d+\.tape$/, '');
  const kind = KINDS.find((k) => k.name === name);
  if (!kind)
    throw new Error(`${file}: its name must begin with a kind: ${KINDS.map((k) => k.name).join(', ')}`);
  await runCase(kind, bytes);
}
