/**
 * From text to a tree. An expression is written as one of JavaScript, so acorn parses it; what of JavaScript has no
 * meaning here is refused, by name and with what to write instead.
 */
import { type Expression, type Literal, type Node as Parsed, parseExpressionAt } from 'acorn';
import { ExpressionError, type Span } from './errors.js';

export const NUMBERS = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64', 'f32', 'f64'] as const;
export type NumberRead = (typeof NUMBERS)[number];
/** Reads of the form `u32[address]`. */
export const READS = [...NUMBERS, 'str'] as const;
export type Read = (typeof READS)[number];
/** Reads of the form `bytes(address, length)`. */
export const RANGES = ['str', 'bytes'] as const;
export type RangeRead = (typeof RANGES)[number];

const ENTITIES = ['global', 'symbol'] as const;
/** Words with a meaning of their own: a global of such a name is `global["size"]`. */
export const WORDS = ['memory', 'size', 'entry', ...ENTITIES, ...new Set([...READS, ...RANGES])] as const;

/** Which memory: its number, or a name under which it is exported; the first where none is given. */
export type MemoryKey = { key: number | string; at: Span } | undefined;

export type Node = { at: Span } & (
  | { kind: 'integer'; value: bigint }
  | { kind: 'float'; value: number }
  | { kind: 'boolean'; value: boolean }
  | { kind: 'string'; value: string }
  | { kind: 'name'; name: string }
  | { kind: 'entry' }
  | { kind: 'size'; memory: MemoryKey }
  | { kind: 'read'; type: Read; memory: MemoryKey; address: Node }
  | { kind: 'range'; type: RangeRead; memory: MemoryKey; address: Node; length: Node }
  | { kind: 'entity'; of: 'global' | 'symbol'; key: number | string; keyAt: Span }
  | { kind: 'unary'; operator: string; operand: Node }
  | { kind: 'binary'; operator: string; left: Node; right: Node }
  | { kind: 'choice'; condition: Node; yes: Node; no: Node }
  | { kind: 'apply'; name: string; nameAt: Span; operands: Node[] }
);

/** UTF-16 units of an expression, and levels of its tree, at most: whatever is deeper could overflow the stack. */
export const LIMITS = { text: 10_000, depth: 250 } as const;

const UNARY = ['!', '-', '+', '~'];
const BINARY = '|| && == != < <= > >= + - * / % & | ^ << >> >>>'.split(' ');

/** What is written in JavaScript, or in other languages, and how it is said here. */
const INSTEAD = new Map(
  Object.entries({
    '===': `write '=='`,
    '!==': `write '!='`,
    '**': `there is no power; 2 to the n is '1 << n'`,
    '??': `write 'defined(a) ? a : b'`,
    and: `write '&&'`,
    or: `write '||'`,
    not: `write '!'`,
    '=': `compare with '=='`,
    '<>': `write '!='`,
  }),
);
const instead = (operator: string): string => (INSTEAD.has(operator) ? `: ${INSTEAD.get(operator)}` : '');

/** Kinds of JavaScript expressions that have no meaning here. */
const REFUSED: Record<string, string> = {
  AssignmentExpression: `an expression changes nothing; compare with '=='`,
  UpdateExpression: 'an expression changes nothing',
  SequenceExpression: `one expression is expected, and a ',' only stands between the operands of a function`,
  TemplateLiteral: 'write strings in single or double quotes',
  TaggedTemplateExpression: 'write strings in single or double quotes',
  ChainExpression: `there is no '?.': what has no address has no value, and the expression does not hold then`,
  ArrayExpression: `'[' stands behind the type of what is to be read, as in 'u32[0x1000]'`,
  ArrowFunctionExpression: `there is no '=>'; compare with '>='`,
};

/** @throws ERR_BELAY_EXPRESSION */
export function parse(text: string): Node {
  return new Reader(text).whole();
}

const span = (node: Parsed): Span => ({ from: node.start, to: node.end });
const isOneOf = <T extends string>(list: readonly T[], name: string): name is T =>
  (list as readonly string[]).includes(name);

class Reader {
  constructor(private readonly text: string) {}

  whole(): Node {
    const { text } = this;
    if (text.length > LIMITS.text) {
      this.fail(
        { from: LIMITS.text, to: LIMITS.text },
        `an expression has at most ${LIMITS.text} characters`,
      );
    }
    if (text.trim() === '')
      this.fail({ from: 0, to: 0 }, `an expression is expected, such as 'u32[0x1000] > 5'`);
    const parsed = this.parsed();
    const rest = text.slice(parsed.end);
    const from = parsed.end + rest.length - rest.trimStart().length;
    if (from < text.length) this.rest(from);
    return this.node(parsed, 0);
  }

  private fail(at: Span, problem: string): never {
    throw new ExpressionError(this.text, at, problem);
  }

  private parsed(): Expression {
    const { text } = this;
    try {
      return parseExpressionAt(text, 0, {
        ecmaVersion: 2022,
        sourceType: 'module',
        preserveParens: true,
        onComment: (_block, _text, from, to) =>
          this.fail({ from, to }, `there are no comments; a division that drops the remainder is '/'`),
      });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const { pos: raised, raisedAt } = error as SyntaxError & { pos: number; raisedAt: number };
      const pos = text.length - text.slice(raised).trimStart().length;
      if (pos === text.length) this.fail({ from: text.length, to: text.length }, 'more is expected here');
      const at = { from: pos, to: raisedAt };
      const token = /^(?:[\p{L}\p{N}_$]+|[=!<>&|*+\-?]+|.)/su.exec(text.slice(pos))![0];
      const problem = error.message.replace(/ \(\d+:\d+\)$/, '');
      if (/^Assigning/.test(problem)) this.fail(at, REFUSED.AssignmentExpression!);
      if (/stack/.test(problem)) this.fail({ from: 0, to: 0 }, 'this is nested too deeply');
      if (/^Unexpected token/.test(problem)) this.unexpected({ from: pos, to: pos + token.length }, token);
      if (/^\w/.test(token)) at.to = pos + token.length;
      return this.fail(at, problem.charAt(0).toLowerCase() + problem.slice(1));
    }
  }

  private unexpected(at: Span, token: string): never {
    return this.fail(at, `'${token}' is not expected here${instead(token)}`);
  }

  /** Something stands behind the expression. */
  private rest(from: number): never {
    const token = /^(?:[\p{L}\p{N}_$]+|.)/su.exec(this.text.slice(from))![0];
    const at = { from, to: from + token.length };
    if (INSTEAD.has(token)) this.unexpected(at, token);
    return this.fail(at, `an operator, or the end, is expected before '${token}'`);
  }

  private node(e: Parsed, depth: number): Node {
    if (depth > LIMITS.depth) this.fail(span(e), `this is nested more than ${LIMITS.depth} levels deep`);
    return this.form(e as Expression, depth + 1);
  }

  private form(e: Expression, depth: number): Node {
    const at = span(e);
    switch (e.type) {
      case 'ParenthesizedExpression':
        return this.node(e.expression, depth);
      case 'Literal':
        return this.literal(e);
      case 'Identifier':
        return this.identifier(e.name, at);
      case 'UnaryExpression':
        if (!UNARY.includes(e.operator)) this.fail(at, `there is no operator '${e.operator}'`);
        return { kind: 'unary', at, operator: e.operator, operand: this.node(e.argument, depth) };
      case 'BinaryExpression':
      case 'LogicalExpression':
        if (!BINARY.includes(e.operator)) {
          this.fail(
            this.operator(e.left, e.operator),
            `there is no operator '${e.operator}'${instead(e.operator)}`,
          );
        }
        return {
          kind: 'binary',
          at,
          operator: e.operator,
          left: this.node(e.left, depth),
          right: this.node(e.right, depth),
        };
      case 'ConditionalExpression':
        return {
          kind: 'choice',
          at,
          condition: this.node(e.test, depth),
          yes: this.node(e.consequent, depth),
          no: this.node(e.alternate, depth),
        };
      case 'MemberExpression':
        return this.member(e.object, e.property, e.computed, at, depth);
      case 'CallExpression':
        return this.apply(e.callee, e.arguments, at, depth);
      default:
        return this.fail(at, REFUSED[e.type] ?? 'this part of JavaScript has no meaning here');
    }
  }

  /** Where the operator behind `left` is: there is nothing but space, and that it is no comment is known. */
  private operator(left: Parsed, operator: string): Span {
    const from = this.text.indexOf(operator, left.end);
    return { from, to: from + operator.length };
  }

  private literal(e: Literal): Node {
    const at = span(e);
    const { value } = e;
    const raw = e.raw ?? '';
    if (typeof value === 'boolean') return { kind: 'boolean', at, value };
    if (typeof value === 'string') {
      if (/\p{Surrogate}/u.test(value))
        this.fail(at, 'this string has half of a surrogate pair: it is not Unicode');
      return { kind: 'string', at, value };
    }
    if (typeof value === 'number') {
      const digits = raw.replaceAll('_', '');
      if (/^(?:\d+|0[xob][\da-f]+)$/i.test(digits)) return { kind: 'integer', at, value: BigInt(digits) };
      return { kind: 'float', at, value };
    }
    if (typeof value === 'bigint') {
      return this.fail(at, `leave out the 'n': integers are exact, whatever their size`);
    }
    return this.fail(at, `'${raw}' has no meaning here`);
  }

  private identifier(name: string, at: Span): Node {
    if (name === 'size') return { kind: 'size', at, memory: undefined };
    if (name === 'entry') return { kind: 'entry', at };
    if (name === 'memory') return this.fail(at, `which part of memory? As in 'memory[1].u32[0x1000]'`);
    if (isOneOf(ENTITIES, name)) return this.fail(at, `which ${name}? As in '${name}["name"]'`);
    if (isOneOf(READS, name)) return this.fail(at, `the address is missing, as in '${name}[0x1000]'`);
    if (isOneOf(RANGES, name))
      return this.fail(at, `address and length are missing, as in '${name}(0x1000, 4)'`);
    return { kind: 'name', at, name };
  }

  /** `memory`, `memory[1]`, `memory["name"]` in front of a dot; null if it is something else. */
  private memory(e: Parsed): { memory: MemoryKey } | null {
    const object = e as Expression;
    if (object.type === 'Identifier' && object.name === 'memory') return { memory: undefined };
    if (object.type !== 'MemberExpression' || !object.computed) return null;
    if (object.object.type !== 'Identifier' || object.object.name !== 'memory') return null;
    return { memory: this.key(object.property, 'a memory is given by its number, or its exported name') };
  }

  /** A number or string that stands there as such. */
  private key(e: Parsed, otherwise: string): { key: number | string; at: Span } {
    const node = e.type === 'Literal' ? this.literal(e as Literal) : undefined;
    if (node?.kind === 'string') return { key: node.value, at: node.at };
    if (node?.kind === 'integer' && node.value <= 0xffff_ffffn)
      return { key: Number(node.value), at: node.at };
    return this.fail(span(e), otherwise);
  }

  private member(object: Parsed, property: Parsed, computed: boolean, at: Span, depth: number): Node {
    const name = object.type === 'Identifier' ? (object as Parsed & { name: string }).name : undefined;
    const field = computed ? undefined : (property as Parsed & { name: string }).name;
    if (name !== undefined && isOneOf(ENTITIES, name)) {
      if (field !== undefined) return { kind: 'entity', at, of: name, key: field, keyAt: span(property) };
      const what = name === 'global' ? 'number or name' : 'name';
      const { key, at: keyAt } = this.key(property, `a ${name} is given by its ${what}, as it stands`);
      return { kind: 'entity', at, of: name, key, keyAt };
    }
    const memory = this.memory(object);
    if (memory !== null && field !== undefined) {
      if (field === 'size') return { kind: 'size', at, ...memory };
      if (isOneOf(READS, field)) this.fail(at, `the address is missing, as in '${field}[0x1000]'`);
      if (isOneOf(RANGES, field))
        this.fail(at, `address and length are missing, as in '${field}(0x1000, 4)'`);
      this.fail(span(property), `a memory has no '${field}'; it has size, ${[...READS, 'bytes'].join(', ')}`);
    }
    const typed = computed ? this.typed(object) : null;
    if (typed !== null) {
      const { type, memory } = typed;
      if (isOneOf(READS, type)) {
        return { kind: 'read', at, type, memory, address: this.node(property, depth) };
      }
      return this.fail(at, `write '${type}(address, length)'`);
    }
    if (!computed)
      return this.fail(span(property), `there is no '.${field}'; only memory, global and symbol have parts`);
    if (name === 'memory') return this.fail(at, `which part of memory? As in 'memory[1].u32[0x1000]'`);
    return this.fail(
      span(object),
      `'[' stands behind the type of what is to be read (${READS.join(', ')}), or global, symbol, memory`,
    );
  }

  /** `u32`, `memory[1].u32`, `bytes`. */
  private typed(e: Parsed): { type: Read | RangeRead; memory: MemoryKey } | null {
    const object = e as Expression;
    if (object.type === 'Identifier') {
      const { name } = object;
      return isOneOf(READS, name) || isOneOf(RANGES, name) ? { type: name, memory: undefined } : null;
    }
    if (object.type !== 'MemberExpression' || object.computed) return null;
    const memory = this.memory(object.object);
    const name = (object.property as Parsed & { name: string }).name;
    return memory !== null && (isOneOf(READS, name) || isOneOf(RANGES, name))
      ? { type: name, ...memory }
      : null;
  }

  private apply(callee: Parsed, given: Parsed[], at: Span, depth: number): Node {
    const typed = this.typed(callee);
    if (typed !== null) {
      const { type, memory } = typed;
      if (!isOneOf(RANGES, type)) return this.fail(at, `write '${type}[address]'`);
      if (given.length !== 2) return this.fail(at, `write '${type}(address, length)'`);
      const [address, length] = given.map((operand) => this.node(operand, depth)) as [Node, Node];
      return { kind: 'range', at, type, memory, address, length };
    }
    if (callee.type !== 'Identifier') {
      return this.fail(span(callee), `only a function can stand before '('`);
    }
    const { name } = callee as Parsed & { name: string };
    return {
      kind: 'apply',
      at,
      name,
      nameAt: span(callee),
      operands: given.map((operand) => this.node(operand, depth)),
    };
  }
}
