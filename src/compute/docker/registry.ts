/**
 * Registries, as tenants name them in their images. The engine asks them from where the node is, so a name must not be a way
 * to what listens on the node itself, and what answered is not told: only what kind of failure it was.
 */
import { Networks } from '../../networks.ts';

/** This machine, and what is beside it on the wire (where clouds keep their instances' secrets). */
const NEAR = new Networks(['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16']);

/** `registry.example:5000`; undefined where the name has none, and Docker's own is meant. */
export function registryOf(image: string): string | undefined {
  const [first = '', ...rest] = image.split('/');
  return rest.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? first : undefined;
}

/** Whether that is the machine itself or on its link, by name or address, in whatever way an address can be written. */
export function isNear(registry: string): boolean {
  // A URL's IPv4 address is read like the system reads one: 127.1, 0x7f000001, 2130706433.
  if (!URL.canParse(`http://${registry}`)) return true;
  const host = new URL(`http://${registry}`).hostname.replace(/\.$/, '');
  return host === 'localhost' || host.endsWith('.localhost') || NEAR.has(host);
}

const KINDS: readonly (readonly [RegExp, string])[] = [
  [/no matching manifest/i, 'it is made for other machines than this one'],
  [/manifest unknown|name unknown|not found/i, 'its registry has no such image'],
  [/toomanyrequests|rate limit/i, 'its registry lets this node pull no more for a while'],
  [/denied|unauthorized|authenti|forbidden/i, 'its registry has none, or not for this node'],
  [/no space left/i, 'the disk of the node is full'],
  [/no such host|server misbehaving/i, 'nobody knows the name of its registry'],
  [/refused|time-?out|deadline|unreachable|reset|EOF/i, 'its registry does not answer'],
  [/invalid reference|repository name/i, 'that is not the name of an image'],
];

/** What an engine said of a pull that failed, which may be what the registry wrote, as one of a few kinds. */
export function kindOfFailure(said: string): string {
  return KINDS.find(([pattern]) => pattern.test(said))?.[1] ?? 'its registry answered with an error';
}
