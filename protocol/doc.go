// Package protocol is the wire of weft: identifiers, kinds of records, the header, the codec, limits, message bodies and
// error codes. docs/rfc/ is its specification.
//
// A message on a socket is one frame of records, followed by at most [MaxPayloadFrames] frames that are large payloads.
// A frame of records is a concatenation of msgpack arrays. The first is the header ([Header]); each further one is a
// [Record] of fixed-width encodings, so that any msgpack library reads a frame as a stream while the hot path finds
// every field at a constant offset. Bodies of control records are ordinary msgpack ([Marshal], [Unmarshal]).
//
// Decoders never panic on hostile bytes and check every length before they use it. Nothing here is safe for concurrent
// use unless it says so; nothing here does I/O, reads a clock or starts a goroutine.
package protocol
