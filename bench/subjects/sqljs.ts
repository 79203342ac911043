/**
 * SQLite (sql.js): once through the package's own JavaScript, and otherwise by SQLite's C functions, with
 * statements and texts in guest memory, so that nothing but SQLite is measured.
 */
import { readFileSync } from 'node:fs';
import { keepInMemory, type SqlModule } from '../../runtime/adapters/index.js';
import { evaluate, Host, packageFile, type Running, type Source, type Subject } from './host.js';

/** What the glue offers of SQLite's C functions. Pointers are numbers. */
interface Sqlite {
  _malloc(bytes: number): number;
  _sqlite3_open(name: number, database: number): number;
  _sqlite3_prepare_v2(database: number, sql: number, length: number, statement: number, tail: number): number;
  _sqlite3_bind_int(statement: number, index: number, value: number): number;
  _sqlite3_bind_text(statement: number, index: number, text: number, length: number, free: number): number;
  _sqlite3_step(statement: number): number;
  _sqlite3_reset(statement: number): number;
  _sqlite3_column_double(statement: number, column: number): number;
  _sqlite3_changes(database: number): number;
}

const ROW = 100;
const DONE = 101;
/** Distinct texts to insert. */
const TEXTS = 64;

interface Database {
  sqlite: Sqlite;
  host: Host;
  database: number;
  prepare(sql: string): number;
  run(sql: string): void;
  /** A text in guest memory, for good. */
  text(content: string): { pointer: number; length: number };
}

async function open(source: Source): Promise<Database> {
  const host = new Host(source);
  const path = packageFile('sql.js', 'dist', 'sql-wasm.js');
  const sqlite = await evaluate<(module: object) => Promise<Sqlite>>(path, host)(host.emscripten);
  const text = (content: string) => {
    const bytes = new TextEncoder().encode(`${content}\0`);
    const pointer = sqlite._malloc(bytes.length);
    host.write(pointer, bytes);
    return { pointer, length: bytes.length - 1 };
  };
  const out = sqlite._malloc(8);
  const result = () => new DataView(host.memory.buffer).getInt32(out, true);
  const check = (code: number, what: string) => {
    if (code !== 0) throw new Error(`${what}: SQLite returns ${code}`);
  };
  check(sqlite._sqlite3_open(text(':memory:').pointer, out), 'open');
  const database = result();
  const prepare = (sql: string) => {
    check(sqlite._sqlite3_prepare_v2(database, text(sql).pointer, -1, out, 0), sql);
    return result();
  };
  const run = (sql: string) => {
    const statement = prepare(sql);
    while (sqlite._sqlite3_step(statement) === ROW);
    check(sqlite._sqlite3_reset(statement), sql);
  };
  run('pragma temp_store = memory');
  run('create table t(id integer primary key, a int, b text)');
  return { sqlite, host, database, prepare, run, text };
}

/** Rows that are there before. */
function fill(run: (sql: string) => void, rows: number): void {
  run(
    `insert into t(a, b) with recursive c(i) as (select 1 union all select i + 1 from c where i < ${rows}) select i * 7919 % 1000, 'w' || (i * 31 % 977) from c`,
  );
}

const bytes = async () => readFileSync(packageFile('sql.js', 'dist', 'sql-wasm.wasm'));

interface SqlJs {
  Database: new () => {
    run(sql: string): void;
    exec(sql: string): unknown;
    prepare(sql: string): { run(values: unknown[]): void };
    getRowsModified(): number;
  };
}

/** Name of malloc among the module's exports, which are minified. */
function mallocName(glue: string): string {
  const found = /\._malloc=\w+\.(\w+)/.exec(readFileSync(glue, 'utf8'));
  if (!found) throw new Error('sql.js no longer says what its malloc is called');
  return found[1]!;
}

export const inserts: Subject = {
  name: 'sql.js inserts',
  request:
    'one row by a prepared INSERT, through sql.js; 8,000 in a transaction, with its COMMIT, a query over them, and DELETE',
  bytes,
  reserve: 128 << 20,
  most: 8000,
  async start(source): Promise<Running> {
    const path = packageFile('sql.js', 'dist', 'sql-wasm.js');
    const host = new Host(source, mallocName(path));
    const sql = await evaluate<(module: object) => Promise<SqlJs>>(path, host)(host.emscripten);
    // SQLite's files would be the glue's, and would not go back with the guest.
    keepInMemory(sql as unknown as SqlModule);
    const database = new sql.Database();
    database.run('create table t(id integer primary key, a int, b text)');
    const statement = database.prepare('insert into t(a, b) values(?, ?)');
    const insert = (n: number) => statement.run([(n * 7) % 1000, `hello world ${n}`]);
    // The first insert of a transaction copies a page for the journal: not what a request should show.
    const begin = () => {
      database.run('begin');
      insert(0);
    };
    begin();
    return {
      guest: host.guest,
      memory: host.memory,
      request(n) {
        insert(n);
        return n === 0 ? database.getRowsModified() : 1;
      },
      conclude() {
        database.run('commit');
        database.exec('select a, count(*), max(b) from t group by a order by 2 desc limit 5');
        database.run('delete from t');
        begin();
      },
      tidy() {},
    };
  },
};

export const bareInserts: Subject = {
  name: 'sql.js inserts, bare',
  request: "one row by a prepared INSERT into 2,000, by SQLite's C functions, and nothing else",
  bytes,
  reserve: 128 << 20,
  most: 20_000,
  async start(source, empty): Promise<Running> {
    const { sqlite, host, database, prepare, run, text } = await open(source);
    if (!empty) fill(run, 2000);
    const insert = prepare('insert into t(a, b) values(?, ?)');
    const texts = Array.from({ length: TEXTS }, (_, i) => text(`hello world ${i}`));
    const request = (n: number) => {
      const { pointer, length } = texts[n % TEXTS]!;
      sqlite._sqlite3_bind_int(insert, 1, (n * 7) % 1000);
      sqlite._sqlite3_bind_text(insert, 2, pointer, length, 0);
      if (sqlite._sqlite3_step(insert) !== DONE) throw new Error('the insert failed');
      sqlite._sqlite3_reset(insert);
      return n === 0 ? sqlite._sqlite3_changes(database) : 1;
    };
    const [begin, undo] = [prepare('begin'), prepare('rollback')];
    const once = (statement: number) => {
      sqlite._sqlite3_step(statement);
      sqlite._sqlite3_reset(statement);
    };
    const start = () => {
      once(begin);
      request(0);
    };
    start();
    return {
      guest: host.guest,
      memory: host.memory,
      request,
      tidy() {
        once(undo);
        start();
      },
    };
  },
};

export const queries: Subject = {
  name: 'sql.js queries',
  request: 'a filtered, grouped and sorted SELECT over 500 rows',
  bytes,
  reserve: 128 << 20,
  async start(source, empty): Promise<Running> {
    const { sqlite, host, prepare, run } = await open(source);
    if (!empty) fill(run, 500);
    const select = prepare(
      "select a % 10 g, count(*), sum(length(b)), group_concat(distinct substr(b, 2, 1)) from t where b like 'w%' and a > ? group by g order by 2 desc",
    );
    return {
      guest: host.guest,
      memory: host.memory,
      request(n) {
        sqlite._sqlite3_bind_int(select, 1, (n % 8) * 100);
        let sum = 0;
        while (sqlite._sqlite3_step(select) === ROW) {
          sum =
            sum * 31 + sqlite._sqlite3_column_double(select, 1) + sqlite._sqlite3_column_double(select, 2);
        }
        sqlite._sqlite3_reset(select);
        return sum % 1000003;
      },
      tidy() {},
    };
  },
};
