/** What recording costs. */
import { duration, figure, ratio, table } from '../../report/markdown.js';
import type { Path, Results } from '../results.js';
import { each } from './size.js';
import { count, percent, size, time } from './words.js';

const HOUR = 3600;

export function recordingText(results: Results): string {
  const parts = [slowdownText(results), pathText(results), runText(results), rateText(results)];
  return parts.filter(Boolean).join('\n\n');
}

const title = ({ engines }: Results, engine: string): string =>
  engines[engine as keyof typeof engines]?.title ?? engine;

function slowdownText(results: Results): string {
  if (results.recording.length === 0) return '';
  const rows = results.recording.flatMap(({ engine, slowdowns }) =>
    slowdowns.map(({ way, clock, plain, recorded, steady }) => [
      `${way}${steady ? '' : ' *'}`,
      title(results, engine),
      clock,
      duration(plain),
      duration(plain * (recorded.ratio - 1)),
      ratio(recorded),
    ]),
  );
  const unsteady = results.recording.some(({ slowdowns }) => slowdowns.some(({ steady }) => !steady));
  return `The notes under mixed load; recorded and not recorded by turns, in one process. Each request has its checkpoint in both.
The median of the ratios of neighbours, and quartiles.

${table(['', 'engine', 'clock', 'a request', 'recording adds', 'ratio'], rows, [0, 1, 2])}${
  unsteady ? '\n\n\\* had not become steady when measuring began.' : ''
}`;
}

function pathText(results: Results): string {
  if (results.recording.length === 0) return '';
  const columns: [string, (path: Path) => string][] = [
    ['the request itself', ({ request }) => duration(request)],
    ['its checkpoint', ({ checkpoint }) => duration(checkpoint)],
    ['capture: comparing what was written', ({ capture }) => duration(capture)],
    ['capture: the record, its note and checksum', ({ record }) => duration(record)],
    ['write', ({ write }) => duration(write)],
    ['regions that the mechanism told', ({ regions }) => figure(regions)],
    ['bytes that were compared', ({ compared }) => count(compared)],
    ['pages that differed', ({ pages }) => figure(pages)],
    ['runs of words in them', ({ runs }) => figure(runs)],
    ['bytes of the record', ({ journaled }) => count(journaled)],
  ];
  const processors = results.recording.map(
    ({ engine, processor: { plain, recorded } }) =>
      `${duration(plain)} of a processor, and recorded ${duration(recorded)} (${title(results, engine)})`,
  );
  return `Client, server, guest and packer together take, for a request over HTTP, ${processors.join('; ')}: so a service has as much less to
give where all processors are busy already, and less of it is seen where one is free.

What lies on the path of a request to the notes, on average:

${table(
  ['', ...results.recording.map(({ engine }) => title(results, engine))],
  columns.map(([name, cell]) => [name, ...results.recording.map(({ path }) => cell(path))]),
)}`;
}

function runText({ size: found }: Results): string {
  if (found.length === 0) return '';
  return `At full speed, for as long as it took to record the histories above: there, what packing takes counts too, because a guest
that is ahead by 64 MiB waits. *Lag* is the most that the packer was behind, *drain* how long it took in the end to pack the rest.
The recorder's memory is the image of the guest's state, where it keeps one, the buffer and the packer's open pages, by its own count; *process* is
how much the process grew, without the file that LMDB maps: engine, threads and garbage included.

${table(
  [
    'guest',
    'before',
    'recorded',
    'checkpoints/s',
    'lag',
    'drain',
    'recorder',
    'process',
    'store grows in an hour',
    'written in an hour',
  ],
  found.map((s) => {
    const perSecond = 1e9 / s.recorded;
    return [
      s.workload,
      duration(s.plain),
      duration(s.recorded),
      count(perSecond),
      size(s.lag),
      time(s.drain),
      size(s.recorderBytes),
      size(Math.max(0, s.rssAfter - s.rssBefore)),
      size(each(s) * perSecond * HOUR),
      size((s.written / s.entries) * perSecond * HOUR),
    ];
  }),
)}`;
}

function rateText({ recording, size: found }: Results): string {
  const rate = recording.find((one) => one.rate)?.rate;
  if (!rate) return '';
  const hours = rate.seconds / HOUR;
  const long = found.find(({ workload }) => workload === 'notes');
  const lasting = long
    ? `; by the bytes a checkpoint of the million, ${size(each(long) * rate.perSecond * HOUR)}`
    : '';
  return `At ${rate.perSecond} requests a second, for ${rate.seconds} seconds: the store grows by ${size(rate.stored / hours)} in an hour${lasting}. ${size(rate.written / hours)}
an hour are written to files, the journal among them: what is packed soon is packed in small pieces, and open chunks are written anew each time. The process took ${percent(rate.cpu)} of a
processor, and without recording ${percent(rate.cpuPlain)}.`;
}
