/** Reports for people: compact tables of plain text. */
import type { Inspection, Refusal, Report } from '../rewriter/types.js';

/** Lines of two columns: names left-aligned, values after them. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`.trimEnd()).join('\n');
}

/** 1234567 as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** Bytes as `123 B`, `4.5 KiB`, `6.7 MiB`. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const unit = bytes < 2 ** 20 ? 'KiB' : bytes < 2 ** 30 ? 'MiB' : 'GiB';
  const divisor = unit === 'KiB' ? 2 ** 10 : unit === 'MiB' ? 2 ** 20 : 2 ** 30;
  return `${(bytes / divisor).toFixed(1)} ${unit}`;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '' : ` (${((100 * part) / whole).toFixed(0)} %)`;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, n) => total + n, 0);
}

/** `i32.store 12, i64.store 3`, most frequent first. */
function mnemonics(counts: Record<string, number>, most = 6): string {
  const sorted = Object.entries(counts)
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const shown = sorted.slice(0, most).map(([name, n]) => `${name} ${count(n)}`);
  if (sorted.length > most) shown.push(`${sorted.length - most} more kinds`);
  return shown.join(', ');
}

/** What `belay instrument` says when it is done. */
export function instrumentReport(output: string, report: Report, cached: boolean): string {
  const { stores } = report;
  const lines = [
    `${output}: ${report.layout} layout, region ${report.region}${cached ? ', from the cache' : ''}`,
    table([
      ['functions', count(report.functions)],
      ['stores found', count(stores)],
      ['checks inserted', count(report.checksInserted) + percent(report.checksInserted, stores)],
      ['checks merged', count(report.checksMerged) + percent(report.checksMerged, stores)],
      ['checks removed', count(report.checksRemoved) + percent(report.checksRemoved, stores)],
      ['in stack frames', count(report.checksStack) + percent(report.checksStack, stores)],
      ['unreachable', count(report.unreachable) + percent(report.unreachable, stores)],
      ['other changes', `${count(report.calls)} (bulk operations, tables, segments)`],
      ['branch hints', count(report.branchHints)],
      [
        'size',
        `${size(report.bytesBefore)} to ${size(report.bytesAfter)} (${report.codeGrowth.toFixed(2)}x)`,
      ],
    ]),
    ...report.warnings.map((warning) => `  warning: ${warning}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** One reason why a module is refused: what, in which function, which instruction and where. */
export function refusalText(refusal: Refusal): string {
  const offset = refusal.offset === undefined ? '' : ` at offset 0x${refusal.offset.toString(16)}`;
  const where = [
    refusal.instruction === undefined ? '' : `: ${refusal.instruction}${offset}`,
    refusal.function === undefined ? '' : ` in ${refusal.function}`,
  ];
  return refusal.reason + where.join('');
}

/** What `belay inspect` says of a module. */
export function inspectReport(name: string, module: Inspection): string {
  const lines = [
    `${name}: ${size(module.bytes)}, ${module.kind}${module.instrumented ? ', instrumented' : ''}`,
    table([
      ['functions', `${count(module.functions.defined)}, ${count(module.functions.imported)} imported`],
      ['memories', each(module.memories, memoryText)],
      ['tables', each(module.tables, tableText)],
      [
        'globals',
        `${count(module.globals.mutable)} mutable, ${count(module.globals.immutable)} immutable` +
          (sum(module.globals.byType) > 0 ? ` (${mnemonics(module.globals.byType)})` : ''),
      ],
      [
        'segments',
        `${count(module.segments.data)} data (${module.segments.dataDropped} dropped by code), ` +
          `${count(module.segments.elem)} element (${module.segments.elemDropped} dropped by code)`,
      ],
      ['start function', module.start ? 'yes: runs before the first checkpoint' : 'no'],
      ['state changes', sum(module.writes) === 0 ? 'none' : mnemonics(module.writes)],
    ]),
  ];
  if (module.contract) {
    const { version, mechanism, layout, region, steps } = module.contract;
    lines.push(
      `  instrumented: ${mechanism}, ${layout} layout, region ${region}, steps ${steps ? 'counted' : 'not counted'}, contract ${version}`,
    );
  } else if (module.canRollBack) {
    lines.push('  can be rolled back: yes; `belay instrument` takes it');
  } else {
    lines.push('  can be rolled back: no');
    for (const refusal of module.refusals) lines.push(`    - ${refusalText(refusal)}`);
  }
  for (const warning of module.warnings) lines.push(`  warning: ${warning}`);
  return `${lines.join('\n')}\n`;
}

function each<T>(items: readonly T[], text: (item: T) => string): string {
  return items.length === 0 ? 'none' : items.map(text).join('; ');
}

type Of<K extends 'memories' | 'tables'> = Inspection[K][number];

function memoryText(memory: Of<'memories'>): string {
  const limits = `${memory.initial}${memory.maximum === undefined ? '' : ` to ${memory.maximum}`} pages`;
  return [
    limits,
    ...flags(memory),
    ...(memory.is64 ? ['64-bit'] : []),
    ...(memory.shared ? ['shared'] : []),
  ].join(' ');
}

function tableText(item: Of<'tables'>): string {
  const limits = `${item.initial}${item.maximum === undefined ? '' : ` to ${item.maximum}`} ${item.type}`;
  return [limits, ...flags(item), ...(item.mutated ? ['changed by code'] : [])].join(' ');
}

function flags(item: { imported: boolean; exported: boolean }): string[] {
  return [...(item.imported ? ['imported'] : []), ...(item.exported ? ['exported'] : [])];
}
