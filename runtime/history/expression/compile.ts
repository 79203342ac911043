/** From the tree to closures: types are checked, names resolved, and what is constant computed once. */
import { Access } from './access.js';
import {
  type BooleanCode,
  type Code,
  type FloatCode,
  float,
  type IntegerCode,
  integerConstant,
  type Run,
  TYPE_NAMES,
} from './code.js';
import { compare, equal } from './compare.js';
import { ExpressionError, type Span } from './errors.js';
import { FUNCTIONS } from './functions.js';
import * as integers from './integers.js';
import type { FunctionType, Names } from './names.js';
import { Resolver, suggestion, Unknown } from './resolve.js';
import { type Node, WORDS } from './syntax.js';

export interface CalledFunction extends FunctionType {
  name: string;
}

export class Compiler {
  readonly run: Run = { past: undefined as never, lost: false };
  readonly calls: CalledFunction[] = [];
  usesOld = false;
  readonly resolver: Resolver;
  readonly access: Access;

  constructor(
    readonly text: string,
    readonly names: Names,
  ) {
    this.resolver = new Resolver(names);
    this.access = new Access(this.run, this.resolver, (at, problem) => this.fail(at, problem));
  }

  fail(at: Span, problem: string): never {
    throw new ExpressionError(this.text, at, problem);
  }

  compile(node: Node): Code {
    const code = this.form(node);
    return code.constant ? this.fold(code) : code;
  }

  /** Computes what is the same at each entry. */
  private fold(code: Code): Code {
    const { run } = this;
    run.lost = false;
    const value = code.run();
    if (run.lost) {
      run.lost = false;
      this.fail(
        code.at,
        'this never has a value: a division by zero, a shift by less than 0 or more than 1023, or what is not finite',
      );
    }
    if (code.type === 'integer') return integerConstant(code.at, BigInt(value as number | bigint));
    return { ...code, run: () => value } as Code;
  }

  private form(node: Node): Code {
    const { at } = node;
    switch (node.kind) {
      case 'integer':
        return integerConstant(at, node.value);
      case 'float':
      case 'boolean':
      case 'string': {
        const { kind, value } = node;
        return { type: kind, at, constant: true, run: () => value } as Code;
      }
      case 'name':
        return this.name(node.name, at);
      case 'entity':
        return this.entity(node.of, node.key, node.keyAt, at);
      case 'entry':
        return this.access.entry(at);
      case 'size':
        return this.access.size(node.memory, at);
      case 'read':
        return this.access.read(at, node.type, node.memory, this.address(node.address));
      case 'range':
        return this.access.range(
          at,
          node.type,
          node.memory,
          this.address(node.address),
          this.integer(node.length, 'a length'),
        );
      case 'unary':
        return this.unary(node.operator, this.compile(node.operand), at);
      case 'binary':
        return this.binary(node.operator, node.left, node.right, at);
      case 'choice':
        return this.choice(this.boolean(node.condition, `before '?'`), node.yes, node.no, at);
      case 'apply':
        return this.apply(node);
    }
  }

  // Operands that must be of a type.

  boolean(node: Node, where: string): BooleanCode {
    const code = this.compile(node);
    if (code.type === 'boolean') return code;
    const hint = code.type === 'integer' || code.type === 'float' ? `; write '... != 0'` : '';
    return this.fail(
      node.at,
      `${where} a truth value is expected, and this is ${TYPE_NAMES[code.type]}${hint}`,
    );
  }

  integer(node: Node, what: string): IntegerCode {
    const code = this.compile(node);
    if (code.type === 'integer') return code;
    const hint = code.type === 'float' ? `; write 'int(...)'` : '';
    return this.fail(node.at, `${what} is an integer, and this is ${TYPE_NAMES[code.type]}${hint}`);
  }

  private address(node: Node): IntegerCode {
    return this.integer(node, 'an address');
  }

  // Names.

  private name(name: string, at: Span): Code {
    const global = this.resolver.globalCalled(name);
    if (global !== undefined && !(global instanceof Unknown)) return this.access.global(global, at);
    const address = this.resolver.symbol(name);
    if (address !== undefined) return integerConstant(at, BigInt(address));
    if (global !== undefined) return this.unknown(at, name, global);
    const known = FUNCTIONS.get(name);
    if (known) this.fail(at, `'${name}' is a function: write '${known.usage}'`);
    const { globalNames, symbolNames } = this.resolver;
    const all = [...globalNames, ...symbolNames, ...WORDS, ...FUNCTIONS.keys()];
    return this.unknown(at, name, new Unknown(`nothing is called '${name}'`, all));
  }

  private unknown(at: Span, name: string, { problem, known }: Unknown): never {
    return this.fail(at, problem + suggestion(name, known));
  }

  private entity(of: 'global' | 'symbol', key: number | string, keyAt: Span, at: Span): Code {
    const { resolver } = this;
    if (of === 'symbol') {
      const address = resolver.symbol(String(key));
      if (typeof key === 'string' && address !== undefined) return integerConstant(at, BigInt(address));
      const problem = `no symbol is called '${key}'`;
      return this.unknown(keyAt, String(key), new Unknown(problem, resolver.symbolNames));
    }
    const global =
      typeof key === 'number'
        ? resolver.globalNumber(key)
        : (resolver.globalCalled(key) ?? new Unknown(`no global is called '${key}'`, resolver.globalNames));
    return global instanceof Unknown
      ? this.unknown(keyAt, String(key), global)
      : this.access.global(global, at);
  }

  // Operators.

  private unary(operator: string, operand: Code, at: Span): Code {
    const { constant } = operand;
    if (operator === '!') {
      if (operand.type !== 'boolean') this.operand(operand, `'!'`, 'a truth value', `; write '... == 0'`);
      const { run } = operand;
      return { type: 'boolean', at, constant, run: () => !run() };
    }
    if (operator === '~') {
      if (operand.type !== 'integer') this.operand(operand, `'~'`, 'an integer');
      return integers.unary(at, '~', operand);
    }
    if (operand.type !== 'integer' && operand.type !== 'float') {
      return this.operand(operand, `'${operator}'`, 'a number');
    }
    if (operator === '+') return { ...operand, at };
    if (operand.type === 'integer') return integers.unary(at, '-', operand);
    const { run } = operand;
    return { type: 'float', at, constant, run: () => -run() };
  }

  /** @throws ERR_BELAY_EXPRESSION */
  operand(code: Code, who: string, expected: string, hint = ''): never {
    const is = TYPE_NAMES[code.type];
    const more = code.type === 'integer' || code.type === 'float' ? hint : '';
    return this.fail(code.at, `${who} takes ${expected}, and this is ${is}${more}`);
  }

  private binary(operator: string, leftNode: Node, rightNode: Node, at: Span): Code {
    if (operator === '&&' || operator === '||') return this.logic(operator, leftNode, rightNode, at);
    const left = this.compile(leftNode);
    const right = this.compile(rightNode);
    if (operator === '==' || operator === '!=') {
      return equal(at, operator, left, right) ?? this.mismatch(operator, left, right, at);
    }
    if (['<', '<=', '>', '>='].includes(operator)) {
      return compare(at, operator, left, right) ?? this.mismatch(operator, left, right, at);
    }
    const bitwise = '& | ^ << >> >>>'.split(' ').includes(operator);
    for (const [code, node] of [
      [left, leftNode],
      [right, rightNode],
    ] as const) {
      if (code.type === 'integer' || (code.type === 'float' && !bitwise)) continue;
      const compares = node.kind === 'binary' && /^(?:[=!]=|[<>]=?)$/.test(node.operator);
      const hint =
        compares && code.type === 'boolean'
          ? `: '${node.operator}' binds tighter, write '(a ${operator} b) ${node.operator} c'`
          : '';
      this.fail(
        code.at,
        `'${operator}' takes ${bitwise ? 'integers' : 'numbers'}, and this is ${TYPE_NAMES[code.type]}${hint}`,
      );
    }
    if (left.type === 'integer' && right.type === 'integer') return this.integers(operator, left, right, at);
    return this.floats(operator, left as FloatCode, right as FloatCode, at);
  }

  private integers(operator: string, left: IntegerCode, right: IntegerCode, at: Span): IntegerCode {
    if (operator !== '>>>') return integers.binary(this.run, at, operator, left, right);
    if (!integers.has32Bits(left)) {
      this.fail(
        left.at,
        `'>>>' takes what has 32 bits, and this may have more; write '>>', which keeps the sign, or '(... & 0xffffffff)'`,
      );
    }
    return integers.binary(this.run, at, '>>', integers.unsigned32(left), right);
  }

  private floats(
    operator: string,
    a: FloatCode | IntegerCode,
    b: FloatCode | IntegerCode,
    at: Span,
  ): FloatCode {
    const [left, right] = [float(a), float(b)];
    const run = {
      '+': () => left() + right(),
      '-': () => left() - right(),
      '*': () => left() * right(),
      '/': () => left() / right(),
      '%': () => left() % right(),
    }[operator]!;
    return { type: 'float', at, constant: a.constant && b.constant, run };
  }

  private mismatch(operator: string, left: Code, right: Code, at: Span): never {
    const chained = left.type === 'boolean' ? `; write 'a < b && b < c' for 'a < b < c'` : '';
    const [a, b] = [TYPE_NAMES[left.type], TYPE_NAMES[right.type]];
    return this.fail(at, `'${operator}' does not compare ${a} with ${b}${chained}`);
  }

  /**
   * `a || b` is true if one of them is, whatever became of the other; `&&` likewise is false if one is. So what
   * `a || b` finds is what `a` finds and what `b` finds.
   */
  private logic(operator: '&&' | '||', leftNode: Node, rightNode: Node, at: Span): BooleanCode {
    const a = this.boolean(leftNode, `before '${operator}'`);
    const b = this.boolean(rightNode, `behind '${operator}'`);
    const [left, right] = [a.run, b.run];
    const { run } = this;
    const decisive = operator === '||';
    const compute = (): boolean => {
      const before = run.lost;
      run.lost = false;
      const first = left();
      const lost = run.lost;
      if (!lost && first === decisive) {
        run.lost = before;
        return decisive;
      }
      run.lost = false;
      const second = right();
      const decided = !run.lost && second === decisive;
      run.lost = before || (lost ? !decided : run.lost);
      return second;
    };
    return { type: 'boolean', at, constant: a.constant && b.constant, run: compute };
  }

  private choice(condition: BooleanCode, yesNode: Node, noNode: Node, at: Span): Code {
    const yes = this.compile(yesNode);
    const no = this.compile(noNode);
    const constant = condition.constant && yes.constant && no.constant;
    const choose = condition.run;
    if (yes.type === 'integer' && no.type === 'integer') {
      return { ...integers.either(at, choose, yes, no), constant };
    }
    const numbers = [yes, no].every(({ type }) => type === 'integer' || type === 'float');
    if (yes.type !== no.type && !numbers) {
      const [a, b] = [TYPE_NAMES[yes.type], TYPE_NAMES[no.type]];
      this.fail(at, `both results of '?:' are of one type, and these are ${a} and ${b}`);
    }
    const [first, second] = numbers ? [float(yes as FloatCode), float(no as FloatCode)] : [yes.run, no.run];
    const type = numbers ? 'float' : yes.type;
    return { type, at, constant, run: () => (choose() ? first() : second()) } as Code;
  }

  // Functions.

  private apply(node: Node & { kind: 'apply' }): Code {
    const { name, nameAt, operands, at } = node;
    const known = FUNCTIONS.get(name);
    if (known === undefined) {
      const exported = this.names.functions?.has(name);
      if (exported) this.fail(nameAt, `to call the guest's function, write 'call("${name}", ...)'`);
      return this.unknown(nameAt, name, new Unknown(`there is no function '${name}'`, [...FUNCTIONS.keys()]));
    }
    const [least, most] = known.count;
    if (operands.length < least || operands.length > most) this.fail(at, `write '${known.usage}'`);
    return known.compile(this, operands, at);
  }

  /** Compiles what is asked of the entry before. */
  old(node: Node, at: Span): Code {
    if (this.access.back === 1)
      this.fail(at, `'old' cannot stand within 'old': only the entry before is at hand`);
    this.usesOld = true;
    this.access.back = 1;
    const code = this.compile(node);
    this.access.back = 0;
    return { ...code, at };
  }
}
