/** Programs of this machine that a test uses. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where daemons are on Debian; not in everybody's PATH. */
const SEARCHED = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];

/** The program's path; undefined where it is not installed. */
export function programPath(program: string): string | undefined {
  return SEARCHED.map((folder) => join(folder, program)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why a test that uses the program cannot run here; undefined if it can. With CI=true that is a failure, not a reason. */
export function whyNoProgram(program: string, debianPackage: string): string | undefined {
  if (programPath(program) !== undefined) return undefined;
  const reason = `${program} is missing (package ${debianPackage})`;
  if (process.env['CI'] === 'true') throw new Error(reason);
  return reason;
}
