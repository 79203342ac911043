/** All kinds of state that the fixture `state` has are changed. */
export const CHANGE = [
  ['store32', 300, 0x01020304],
  ['grow', 2],
  ['fill', 3 * 65536 - 5000, 7, 5000],
  ['setGlobals', 8, -9n, Number.NaN, 2.5],
  ['tableInit', 2],
  ['tableGrow', 3],
  ['dropData'],
  ['dropElem'],
] as const;
