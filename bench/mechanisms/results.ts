/** What each section's tasks answer. */
import type { Results as AnyResults } from '../results.js';
import type { EpochsResult, MemoryResult, PagesResult, PoliciesResult } from './jobs/types.js';
import type { Label, Section } from './plan.js';

interface Answers {
  pages: PagesResult;
  reach: PagesResult;
  size: PagesResult;
  frequency: EpochsResult;
  memory: MemoryResult;
  policies: PoliciesResult;
  live: EpochsResult;
}
export type Finding<S extends Section> = Label & { section: S; result: Answers[S] };
export type Measured = { [S in Section]: Finding<S> }[Section];
export type Results = AnyResults<Measured>;

/** The results of one section, in the order in which they were measured. */
export function inSection<S extends Section>(results: Results, section: S): Finding<S>[] {
  return (results.measured as Finding<S>[]).filter((measured) => measured.section === section);
}
