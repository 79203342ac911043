/**
 * Which functions have to count their calls. A guest that runs for ever, or for very long, either turns around
 * in loops, which are counted, or calls functions that call themselves again, directly or through others. So
 * only functions on a cycle of the call graph count their entries.
 *
 * An indirect call may reach every function of its type that a reference is made to, or that is exported (the
 * host may put it into a table). Calls through the host (an import that calls an
 * export) are not seen: the host sees them.
 */
import type { Found } from './find.js';
import type { Module, TypeInfo } from './wasm/module.js';

/**
 * What two types have in common when a function of one may be called as the other: types are equal by what
 * they say and not by their number, and a reference may stand for one of a wider type.
 */
function shape({ params, results }: TypeInfo): string {
  const one = (type: Uint8Array) => (type[0]! >= 0x7b && type[0]! <= 0x7f ? type[0] : 'reference');
  return `${params.map(one)}>${results.map(one)}`;
}

/**
 * Numbers of the functions on a cycle of the call graph: strongly connected components of more than one
 * function, or with a call to itself (Tarjan, 1972, without recursion).
 */
export function recursiveFunctions(module: Module, found: readonly (Found | undefined)[]): Set<number> {
  const { functions, importedFunctions: imported } = module;
  // Nodes: functions, and behind them one for each type, which leads to the functions of that type.
  const shapes = new Map<string, number[]>();
  const ofType = module.types.map((type) => {
    const key = shape(type);
    const list = shapes.get(key) ?? [];
    shapes.set(key, list);
    return list;
  });
  const reachable = new Set(module.referenced);
  for (const e of module.exports) if (e.kind === 0) reachable.add(e.index);
  for (const i of reachable) if (i >= imported) ofType[functions[i]!.type]?.push(i);
  const edges = (node: number): readonly number[] => {
    if (node >= functions.length) return ofType[node - functions.length]!;
    return node < imported ? [] : found[node - imported]!.callees;
  };
  const count = functions.length + module.types.length;
  const order = new Int32Array(count).fill(-1);
  const low = new Int32Array(count);
  const onStack = new Uint8Array(count);
  const stack: number[] = [];
  const result = new Set<number>();
  let next = 0;
  for (let root = imported; root < functions.length; root++) {
    if (order[root]! >= 0) continue;
    const path: { node: number; edges: readonly number[]; at: number }[] = [];
    const enter = (node: number) => {
      order[node] = low[node] = next++;
      onStack[node] = 1;
      stack.push(node);
      path.push({ node, edges: edges(node), at: 0 });
    };
    enter(root);
    while (path.length) {
      const frame = path[path.length - 1]!;
      const { node } = frame;
      if (frame.at < frame.edges.length) {
        const to = frame.edges[frame.at++]!;
        if (order[to]! < 0) enter(to);
        else if (onStack[to]) low[node] = Math.min(low[node]!, order[to]!);
        if (to === node) result.add(node);
        continue;
      }
      path.pop();
      const caller = path[path.length - 1]?.node;
      if (caller !== undefined) low[caller] = Math.min(low[caller]!, low[node]!);
      if (low[node] !== order[node]) continue;
      const component: number[] = [];
      let member: number;
      do {
        member = stack.pop()!;
        onStack[member] = 0;
        component.push(member);
      } while (member !== node);
      if (component.length > 1) for (const f of component) if (f < functions.length) result.add(f);
    }
  }
  return result;
}
