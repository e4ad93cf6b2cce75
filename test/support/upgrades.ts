// Requests for another protocol, as clients send them.

/** A handshake of WebSocket (RFC 6455 section 4.1). */
export const handshake = (path: string, headers = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`
