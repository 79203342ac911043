/** How long answers take, of a history that was recorded. */
import { type History, openHistory } from '../../../runtime/history/index.js';
import { median } from '../../statistics.js';
import type { QuestionsJob } from '../plan.js';
import type { Question, Questions } from '../results.js';
import { dice, summary, timed } from '../timing.js';
import { findVariables, u32, type Variables } from '../variables.js';
import { httpOf } from '../workloads.js';

const HEX = (address: number): string => `0x${address.toString(16)}`;
const count = (n: number): string => n.toLocaleString('en-US');

/** What a bisection and a search of one variable may take, in milliseconds. */
const BISECTION = 10;
const SEARCH = 1000;

interface Effort {
  /** Openings of the history, for what is asked first. */
  openings: number;
  many: number;
  few: number;
}

export async function ask(job: QuestionsJob, progress: (text: string) => void): Promise<Questions> {
  const { directory, workload } = job;
  const effort: Effort = job.quick ? { openings: 2, many: 5, few: 1 } : { openings: 7, many: 41, few: 5 };
  const history = await openHistory(directory);
  try {
    progress('looking for variables');
    const variables = findVariables(history);
    const found: Question[] = [];
    const add = (...questions: Question[]) => {
      found.push(...questions);
      progress(questions.map(({ question }) => question).join(', '));
    };
    add(...(await bisections(directory, history, variables, effort)));
    add(...(await searches(directory, history, variables, effort)));
    add(...allWrites(history, variables, effort));
    add(...others(history, variables, effort));
    add(...(await calls(history, workload, effort)));
    return { workload, entries: history.last - history.first + 1, questions: found };
  } finally {
    await history.close();
  }
}

/** An expression that turns once, for each of several turns. */
function turns(history: History, { growing }: Variables, times: number): { text: string; turn?: number }[] {
  const random = dice(5);
  const { first, last } = history;
  return Array.from({ length: times }, () => {
    const entry = first + 1 + random(last - first);
    if (growing === undefined) return { text: `entry >= ${entry}` };
    return { text: `u32[${HEX(growing)}] >= ${u32(history.read(entry, growing, 4))}` };
  });
}

async function bisections(
  directory: string,
  history: History,
  variables: Variables,
  { openings, many }: Effort,
): Promise<Question[]> {
  const list = turns(history, variables, many);
  const detail = `\`${list[0]!.text}\`, other numbers each time`;
  let evaluated = 0;
  const check = (asked: History, text: string) => {
    const { turn, first, last, evaluated: steps } = asked.bisect(text);
    evaluated = steps;
    if (first !== last && turn === undefined) throw new Error(`${text} does not turn`);
  };
  const opening: number[] = [];
  const fresh: number[] = [];
  for (let i = 0; i < openings; i++) {
    let start = performance.now();
    const other = await openHistory(directory);
    opening.push(performance.now() - start);
    start = performance.now();
    check(other, list[i]!.text);
    fresh.push(performance.now() - start);
    await other.close();
  }
  for (const { text } of list.slice(0, 3)) check(history, text);
  const { time } = timed(many, (i) => check(history, list[i]!.text));
  const found = `${evaluated} checkpoints looked at`;
  return [
    { question: 'open', detail: '', found: '', time: summary(opening) },
    { question: 'bisect, the first question', detail, found, time: summary(fresh), target: BISECTION },
    { question: 'bisect, later ones', detail, found, time, target: BISECTION },
  ];
}

async function searches(
  directory: string,
  history: History,
  { hot, rare }: Variables,
  { few }: Effort,
): Promise<Question[]> {
  const { first, last } = history;
  const middle = median(
    Array.from({ length: 21 }, (_, i) =>
      u32(history.read(Math.round(first + ((last - first) * i) / 20), hot, 4)),
    ),
  );
  const one = async (question: string, text: string, fresh: boolean, changes: number): Promise<Question> => {
    const times: number[] = [];
    let intervals = 0;
    for (let i = 0; i < few; i++) {
      const asked = fresh ? await openHistory(directory) : history;
      const start = performance.now();
      intervals = 0;
      for (const _ of asked.search(text)) intervals++;
      times.push(performance.now() - start);
      if (fresh) await asked.close();
    }
    const found = `${count(intervals)} intervals; the page has ${count(changes)} versions`;
    return { question, detail: `\`${text}\``, found, time: summary(times), target: SEARCH };
  };
  const versions = (address: number) => {
    const page = Math.floor(address / 4096) * 4096;
    let n = 0;
    for (const _ of history.writes(page, 4096)) n++;
    return n;
  };
  const [often, seldom] = [versions(hot), versions(rare)];
  const text = `u32[${HEX(hot)}] > ${Math.floor(middle)}`;
  return [
    await one('search all, first', text, true, often),
    await one('search all, again', text, false, often),
    await one(
      'search all, with old()',
      `${text} && old(u32[${HEX(hot)}]) <= ${Math.floor(middle)}`,
      false,
      often,
    ),
    await one('search all, seldom written', `u32[${HEX(rare)}] % 2 == 1`, false, seldom),
  ];
}

function allWrites(history: History, { hot, rare }: Variables, { few }: Effort): Question[] {
  const one = (question: string, address: number): Question => {
    const { time, last } = timed(few, () => [...history.writes(address, 4)].length);
    return { question, detail: `4 bytes at ${HEX(address)}`, found: `${count(last)} writes`, time };
  };
  return [one('writes, of one written often', hot), one('writes, of one written seldom', rare)];
}

function others(history: History, { hot }: Variables, { many, few }: Effort): Question[] {
  const { first, last } = history;
  const random = dice(11);
  let ranges = 0;
  const differ = (from: number, to: number) => {
    ranges = 0;
    for (const _ of history.diff(from, to)) ranges++;
  };
  const anywhere = () => first + random(last - first);
  const neighbours = timed(many, () => {
    const entry = anywhere();
    differ(entry, entry + 1);
  });
  const nearby = ranges;
  const ends = timed(few, () => differ(first, last));
  const show = timed(many, () => {
    const entry = anywhere();
    history.entry(entry);
    history.registers(entry);
    return history.read(entry, hot & ~127, 128);
  });
  const state = timed(few, () => history.state(anywhere()));
  return [
    {
      question: 'show',
      detail: 'a random checkpoint: its request, registers, 128 bytes',
      found: '',
      time: show.time,
    },
    {
      question: 'diff, neighbours',
      detail: 'at a random place',
      found: `${count(nearby)} ranges`,
      time: neighbours.time,
    },
    { question: 'diff, the ends', detail: '', found: `${count(ranges)} ranges`, time: ends.time },
    { question: 'the whole state', detail: 'of a random checkpoint', found: '', time: state.time },
  ];
}

/** Calls, of guests that have something to call. */
async function calls(history: History, workload: string, { many }: Effort): Promise<Question[]> {
  if (workload !== 'notes' && workload !== 'counter') return [];
  const started = performance.now();
  await history.prepareCalls();
  history.call(...callOf(workload), { at: history.first, stdin: request(workload) });
  const ready = performance.now() - started;
  const random = dice(23);
  const { first, last } = history;
  const at = timed(many, () => {
    const { error } = history.call(...callOf(workload), {
      at: first + random(last - first),
      stdin: request(workload),
    });
    if (error) throw error;
  });
  const what = workload === 'notes' ? 'GET /notes?after=90, by `handle`' : '`counted()`';
  const list = Array.from({ length: Math.ceil(many / 4) }, () => first + 1 + random(last - first));
  const turn = timed(list.length, (i) => turnByCall(history, workload, list[i]!));
  const detail =
    workload === 'notes'
      ? 'since when a new note would have got a number of so much'
      : '`call("counted") >= …`';
  return [
    { question: 'call, the first', detail: 'with making the replica', found: '', time: summary([ready]) },
    { question: 'call, later ones', detail: `${what} at random checkpoints`, found: '', time: at.time },
    { question: 'bisect by calls', detail, found: `turns at ${count(turn.last)}`, time: turn.time },
  ];
}

const callOf = (workload: string): [string, unknown[]] => [workload === 'notes' ? 'handle' : 'counted', []];
const request = (workload: string): Uint8Array =>
  workload === 'notes' ? httpOf(['GET', '/notes?after=90']) : new Uint8Array(0);

/** Where what a call answers becomes what it answers at `entry`, or more. */
function turnByCall(history: History, workload: string, entry: number): number {
  if (workload === 'counter') {
    const value = history.call('counted', [], { at: entry }).value as number;
    return history.bisect(`call("counted") >= ${value}`).turn ?? -1;
  }
  const stdin = httpOf(['POST', '/notes', 'what number?']);
  const number = (at: number): number => {
    const { stdout } = history.call('handle', [], { at, stdin });
    return Number(/"id":(\d+)/.exec(new TextDecoder().decode(stdout))?.[1]);
  };
  const wanted = number(entry);
  let [low, high] = [history.first, history.last];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (number(middle) >= wanted) high = middle;
    else low = middle;
  }
  return high;
}
