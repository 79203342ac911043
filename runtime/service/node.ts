/** The service on Node: HTTP server, worker threads, metrics and logs around the handler of `./index.js`. */
import '../node.js';

export * from './index.js';
export { createLogger, LOG_LEVELS, type LogLevel, type LogOptions, logObserver } from './log.js';
export { createMetrics, type Metrics } from './metrics.js';
export { type ServeOptions, type Service, serve } from './serve.js';
export { type HttpServer, listen, type ServerOptions } from './server.js';
