/**
 * sql.js keeps the databases that it opens in files of Emscripten's in-memory file system, which is JavaScript
 * state that no rollback reaches, and its build hides that file system from everyone.
 */

/** What this needs of the object that initSqlJs resolves to. */
export interface SqlModule {
  [name: string]: unknown;
}

type Open = (filename: number, database: number) => number;

/**
 * Makes `new SQL.Database()` open databases in guest memory (SQLite's `:memory:`), so that they go back with
 * the guest. Call it once, before the first checkpoint, with the object that initSqlJs resolved to.
 *
 * `new SQL.Database(bytes)` and `db.export()` go on using files: bring databases in before the first
 * checkpoint, and export between requests, not within one that may be rolled back.
 *
 * @returns a function that opens the files of databases given as bytes as usual while it runs `open`
 */
export function keepInMemory(sql: SqlModule): <T>(open: () => T) => T {
  const original = sql._sqlite3_open as Open;
  const newString = sql.stringToNewUTF8 as (text: string) => number;
  const textAt = sql.UTF8ToString as (pointer: number) => string;
  const memory = newString(':memory:');
  let files = false;
  sql._sqlite3_open = (filename: number, database: number): number => {
    const own = !files && /^dbfile_\d+$/.test(textAt(filename));
    return original(own ? memory : filename, database);
  };
  return (open) => {
    files = true;
    try {
      return open();
    } finally {
      files = false;
    }
  };
}
