// A WebSocket server in one page: text messages, ping, close (RFC 6455). No extensions, no binary.
import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455, 1.3
const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_UNSENT_BYTES = 1024 * 1024;
const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;

function frame(opcode, payload) {
  let head = Buffer.from([0x80 | opcode, payload.length]); // FIN: we never fragment
  if (payload.length >= 126) {
    head = Buffer.alloc(4);
    head[0] = 0x80 | opcode;
    head[1] = 126;
    head.writeUInt16BE(payload.length, 2); // what the room sends is far below 64 KiB
  }
  return Buffer.concat([head, payload]);
}

/** One client. Emits `message` (a string) and, once, `close`. */
export class WebSocketConnection extends EventEmitter {
  #socket;
  #unread = Buffer.alloc(0);
  #fragments = [];
  #closed = false;

  constructor(socket, head) {
    super();
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.end());
    socket.on('close', () => this.emit('close'));
    if (head.length > 0) this.#read(head);
  }

  send(text) {
    if (!this.#closed) this.#write(frame(TEXT, Buffer.from(text)));
  }

  /** Says goodbye with a status code (RFC 6455, 7.4.1) and ends the connection. */
  close(code = 1000) {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.end(frame(CLOSE, Buffer.from([code >> 8, code & 0xff])));
  }

  #write(bytes) {
    this.#socket.write(bytes);
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#socket.destroy(); // a reader that does not read
  }

  #read(chunk) {
    if (this.#closed) return;
    this.#unread = Buffer.concat([this.#unread, chunk]);
    while (!this.#closed && this.#readFrame());
  }

  /** Takes one frame off the unread bytes; false where it is not whole yet (RFC 6455, 5.2). */
  #readFrame() {
    const bytes = this.#unread;
    if (bytes.length < 2) return false;
    const fin = (bytes[0] & 0x80) !== 0;
    const opcode = bytes[0] & 0x0f;
    const short = bytes[1] & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    if ((bytes[0] & 0x70) !== 0 || (bytes[1] & 0x80) === 0) return this.close(1002); // clients must mask
    if (opcode >= CLOSE && (!fin || short > 125)) return this.close(1002);
    if (bytes.length < 2 + lengthBytes) return false;
    const length =
      lengthBytes === 0
        ? short
        : lengthBytes === 2
          ? bytes.readUInt16BE(2)
          : Number(bytes.readBigUInt64BE(2));
    if (length > MAX_MESSAGE_BYTES) return this.close(1009);
    const start = 2 + lengthBytes + 4;
    if (bytes.length < start + length) return false;
    const mask = bytes.subarray(start - 4, start);
    const payload = Buffer.from(bytes.subarray(start, start + length));
    for (let i = 0; i < length; i++) payload[i] ^= mask[i & 3];
    this.#unread = bytes.subarray(start + length);
    this.#handle(opcode, fin, payload);
    return true;
  }

  #handle(opcode, fin, payload) {
    if (opcode === CLOSE) return this.close(1000);
    if (opcode === PING) return this.#write(frame(PONG, payload));
    if (opcode === PONG) return;
    const continues = this.#fragments.length > 0;
    if (opcode !== (continues ? 0x0 : TEXT)) return this.close(opcode === 0x2 ? 1003 : 1002);
    this.#fragments.push(payload);
    const message = Buffer.concat(this.#fragments);
    if (message.length > MAX_MESSAGE_BYTES) return this.close(1009);
    if (!fin) return void (this.#fragments = [message]);
    this.#fragments = [];
    try {
      this.emit('message', new TextDecoder('utf-8', { fatal: true }).decode(message));
    } catch {
      this.close(1007);
    }
  }
}

/** Answers an upgrade request; undefined where it was refused (the socket is then closed). */
export function acceptWebSocket(request, socket, head) {
  const key = request.headers['sec-websocket-key'];
  if (
    request.headers.upgrade?.toLowerCase() !== 'websocket' ||
    request.headers['sec-websocket-version'] !== '13' ||
    !key
  ) {
    socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    return undefined;
  }
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  );
  return new WebSocketConnection(socket, head);
}
