/**
 * The image of a sandbox: one static program of a few instructions that sleeps until it is killed. It is made here, byte
 * by byte, because a node must come up without a registry and without any tool of the host.
 */
import { createHash } from 'node:crypto';

/** `for (;;) pause();` */
const CODE: Readonly<Record<string, { machine: number; code: readonly number[] }>> = {
  amd64: {
    machine: 62, // EM_X86_64
    code: [
      ...[0xb8, 34, 0, 0, 0], // mov eax, SYS_pause
      ...[0x0f, 0x05], //        syscall
      ...[0xeb, 0xf7], //        jmp to the start
    ],
  },
  arm64: {
    machine: 183, // EM_AARCH64; there is no pause(2): ppoll(NULL, 0, NULL, NULL, 0) waits for ever just as well
    code: [
      0xd2800000, // mov x0, #0
      0xd2800001, // mov x1, #0
      0xd2800002, // mov x2, #0
      0xd2800003, // mov x3, #0
      0xd2800004, // mov x4, #0
      0xd2800928, // mov x8, #73 (SYS_ppoll)
      0xd4000001, // svc #0
      0x17fffff9, // b to the start
    ].flatMap((word) => [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24]),
  },
};

/** Machines (in Docker's words) for which there is a sandbox program. */
export const SANDBOX_ARCHITECTURES = Object.keys(CODE);

const LOAD_ADDRESS = 0x400000n;
const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

/** A static ELF executable that does nothing; undefined for a machine we have no code for. */
export function sandboxProgram(arch: string): Buffer | undefined {
  const target = CODE[arch];
  if (!target) return undefined;
  const codeAt = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;
  const file = Buffer.alloc(codeAt + target.code.length);
  // ELF header: 64 bits, little endian, ELF version 1, System V.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
  file.writeUInt16LE(2, 16); // ET_EXEC
  file.writeUInt16LE(target.machine, 18);
  file.writeUInt32LE(1, 20); // EV_CURRENT
  file.writeBigUInt64LE(LOAD_ADDRESS + BigInt(codeAt), 24); // entry
  file.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32); // where the program headers are
  file.writeUInt16LE(ELF_HEADER_BYTES, 52);
  file.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  file.writeUInt16LE(1, 56); // one program header: the whole file, readable and executable
  file.writeUInt32LE(1, 64); // PT_LOAD
  file.writeUInt32LE(5, 68); // PF_R | PF_X
  file.writeBigUInt64LE(LOAD_ADDRESS, 80);
  file.writeBigUInt64LE(LOAD_ADDRESS, 88);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  file.writeBigUInt64LE(0x10000n, 112); // aligned for every page size in use
  file.set(target.code, codeAt);
  return file;
}

/** A tar archive (ustar) with one file, owned by root and executable by all. */
export function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number) =>
    header.write(value.toString(8).padStart(length - 1, '0'), at);
  header.write(name, 0);
  octal(0o755, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content.length, 124, 12);
  octal(0, 136, 12);
  header.fill(' ', 148, 156); // the checksum counts itself as spaces
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}

export interface SandboxImage {
  readonly repo: string;
  /** Of the program's content, so that another program is another image. */
  readonly tag: string;
  readonly command: string;
  readonly tar: Buffer;
}

/** The image to import for the engine's machine; undefined for a machine we have no code for. */
export function sandboxImage(arch: string): SandboxImage | undefined {
  const program = sandboxProgram(arch);
  if (!program) return undefined;
  const tag = createHash('sha256').update(program).digest('hex').slice(0, 12);
  return { repo: 'mayfly/sandbox', tag, command: '/sandbox', tar: tarOf('sandbox', program) };
}
