import { pino, type Logger } from 'pino';
import { LogLines } from './log-lines.ts';

/** Structured log lines. Never hand it a token, an environment or a request's headers. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * JSON lines on stderr: stdout belongs to what the person asked for. `fields` are part of every line. Nobody waits for who
 * reads them: what cannot be written at once is lost, and counted in the next line that can.
 */
export function createLog(level: LogLevel, fields: Readonly<Record<string, unknown>> | null = null): Logger {
  return pino({ level, base: fields, timestamp: pino.stdTimeFunctions.isoTime }, LogLines.toStderr());
}

export const silentLog: Log = pino({ level: 'silent' });
