/** A real module, plain and under mechanisms, with a checkpoint at every so many requests. */
import { type PolicyName, policyNamed } from '../../../runtime/speculation/index.js';
import { now } from '../../clock.js';
import { type Contender, compare } from '../../compare.js';
import { check, compile } from '../../jobs/subject.js';
import { type Running, type Subject, subjectNamed } from '../../subjects/index.js';
import type { EpochsJob, EpochsResult, GuestSpec, PageCounts } from './types.js';

/** Epochs in which pages are counted. */
const COUNTED = 64;

/** Full copies are rough figures, where they are most of the time. */
const ROUGH_BELOW = 16;

/** Starts a subject under a mechanism. */
export async function startGuest(subject: Subject, spec: GuestSpec): Promise<Running> {
  const { mechanism, policy, file } = spec;
  const options = {
    mechanism,
    // The oracle needs a recording, and no real run takes part with it.
    ...(policy && { policy: policyNamed(policy as Exclude<PolicyName, 'oracle'>) }),
  };
  return subject.start({ module: compile(file), instrumented: true, options });
}

export async function measureEpochs(job: EpochsJob): Promise<EpochsResult> {
  const subject = subjectNamed(job.subject);
  const plain = await subject.start({ module: compile(job.plain), instrumented: false });
  const guests: { spec: GuestSpec; running: Running }[] = [];
  for (const spec of job.guests) {
    const running = await startGuest(subject, spec);
    check(subject, plain, running);
    guests.push({ spec, running });
  }
  const points = guests.flatMap(({ spec, running }) =>
    job.every.map((every) => ({ spec, running, every, name: `${spec.name} / ${every}` })),
  );
  const most = subject.most === undefined ? {} : { most: subject.most };
  const contenders = points.map(({ spec, running, every, name }): Contender => {
    const batch = every ? checkpointed(running, every) : unchecked(running);
    const rough = spec.mechanism === 'full-copy' && every > 0 && every < ROUGH_BELOW;
    return { name, ...most, rough, ...(every && { multiple: every }), batch };
  });
  const base: Contender = { name: 'plain', ...most, batch: untouched(plain) };
  const { base: measured, others, steady } = await compare(base, contenders, job.effort);
  return {
    plain: measured.nanoseconds,
    points: points.map(({ spec, every }, i) => ({ name: spec.name, every, compared: others[i]! })),
    guests: guests.map(({ spec, running }) => {
      const pages = job.every.includes(1) ? pagesOf(running) : undefined;
      const { memoryBytes, supportBytes } = running.guest!.stats();
      return { name: spec.name, memoryBytes, supportBytes, ...(pages && { pages }) };
    }),
    steady,
  };
}

/** Keeps results from being optimised away. */
export let sink = 0;

// One loop for each way, so that each is optimised for what it does. Before each the program runs for a while, untimed:
// what was in the caches is its neighbour's.

/** A batch's requests per untimed one before it. */
const LEAD = 8;

function lead(running: Running, count: number, before: (n: number) => void): void {
  for (let n = 0; n < count / LEAD; n++) {
    before(n);
    sink += running.request(n);
  }
  running.conclude?.();
  running.tidy();
}

function plainly(running: Running, count: number): number {
  const start = now();
  for (let n = 0; n < count; n++) sink += running.request(n);
  running.conclude?.();
  const time = now() - start;
  running.tidy();
  return time;
}

function untouched(running: Running) {
  return (count: number) => {
    lead(running, count, () => {});
    return plainly(running, count);
  };
}

/**
 * No checkpoint among the requests that are timed, nor shortly before: what was saved stays saved. One has to be
 * taken now and then, or an undo log would never end.
 */
function unchecked(running: Running) {
  return (count: number) => {
    running.guest!.checkpoint();
    plainly(running, count);
    return plainly(running, count);
  };
}

function checkpointed(running: Running, every: number) {
  const guest = running.guest!;
  const before = (n: number) => {
    if (n % every === 0) guest.checkpoint(running.info?.(n));
  };
  return (count: number) => {
    lead(running, count, before);
    const start = now();
    for (let n = 0; n < count; n++) {
      before(n);
      sink += running.request(n);
    }
    running.conclude?.();
    const time = now() - start;
    running.tidy();
    return time;
  };
}

function pagesOf(running: Running): PageCounts | undefined {
  const guest = running.guest!;
  const before = guest.stats();
  if (before.faults === undefined) return undefined;
  for (let n = 0; n < COUNTED; n++) {
    guest.checkpoint(running.info?.(n));
    sink += running.request(n);
  }
  const after = guest.stats();
  running.conclude?.();
  running.tidy();
  return {
    faults: (after.faults! - before.faults) / COUNTED,
    ahead: (after.copiedAhead! - before.copiedAhead!) / COUNTED,
  };
}
