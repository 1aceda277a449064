/** How an app is told where it reaches the apps that it needs: the same variables on every engine. */
import type { NeededApp } from './engine.ts';

/**
 * For each need `MAYFLY_NEED_<NAME>_HOST`, the hostname to ask for, and `MAYFLY_NEED_<NAME>_URL`, where to ask; the name in
 * capitals, with `_` for `-`. `authority`: what leads to a hostname from where the app runs. A need that has no hostname
 * but wildcards has no variables.
 */
export function needVariables(
  needs: readonly NeededApp[],
  authority: (host: string) => string,
): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const { name, hosts } of needs) {
    const [host] = hosts;
    if (host === undefined) continue;
    const prefix = `MAYFLY_NEED_${name.toUpperCase().replaceAll('-', '_')}`;
    variables[`${prefix}_HOST`] = host;
    variables[`${prefix}_URL`] = `http://${authority(host)}`;
  }
  return variables;
}
