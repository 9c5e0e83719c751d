package protocol

import "encoding/binary"

// Header is the first record of every frame.
type Header struct {
	Version     uint8  // of the protocol, as negotiated; in HELLO the highest that the sender speaks
	Epoch       Epoch  // highest that the sender knows
	Incarnation uint64 // drawn once by the sending process
	Sequence    Stamp  // of this frame
	Acked       Stamp  // highest of the receiver's frames that the sender has taken over
}

// Stamp is the place of a frame in its direction of a conversation: the conversation's number, given by the HELLO that
// began it (16 bits), << 48 | the count of frames, from 1.
type Stamp uint64

// NewStamp makes the stamp of frame number count of a conversation.
func NewStamp(conversation uint16, count uint64) Stamp {
	return Stamp(uint64(conversation)<<48 | count)
}

// Conversation is the number of the conversation.
func (s Stamp) Conversation() uint16 { return uint16(s >> 48) }

// Count is the frame's number in its direction, from 1; 0 is before the first.
func (s Stamp) Count() uint64 { return uint64(s) & (1<<48 - 1) }

// HeaderSize is the length of an encoded header in bytes:
// 0x96 | 0x00 | version | 0xcf epoch | 0xcf incarnation | 0xcf sequence | 0xcf acknowledged.
const HeaderSize = 3 + 4*9

// AppendHeader appends the encoding of h.
func AppendHeader(b []byte, h Header) []byte {
	b = append(b, 0x96, byte(KindHeader), h.Version&0x7f)
	for _, v := range [4]uint64{uint64(h.Epoch), h.Incarnation, uint64(h.Sequence), uint64(h.Acked)} {
		b = append(b, 0xcf)
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// StampHeader overwrites version, epoch, incarnation, sequence and acknowledged of the header that frame begins with.
// The frame must have been begun with [AppendHeader].
func StampHeader(frame []byte, h Header) { AppendHeader(frame[:0], h) }

// ParseHeader reads the header that a frame begins with and returns the rest, the frame's records.
// An error is a *[Error] with [CodeMalformed].
func ParseHeader(frame []byte) (Header, []byte, error) {
	if len(frame) < HeaderSize {
		return Header{}, nil, Errorf(CodeMalformed, "header", "frame of %d bytes, a header has %d", len(frame), HeaderSize)
	}
	if frame[0] != 0x96 || frame[1] != byte(KindHeader) || frame[2] > 0x7f ||
		frame[3] != 0xcf || frame[12] != 0xcf || frame[21] != 0xcf || frame[30] != 0xcf {
		return Header{}, nil, Errorf(CodeMalformed, "header", "frame begins with % x, not with a header", frame[:4])
	}
	return Header{
		Version:     frame[2],
		Epoch:       Epoch(binary.BigEndian.Uint64(frame[4:])),
		Incarnation: binary.BigEndian.Uint64(frame[13:]),
		Sequence:    Stamp(binary.BigEndian.Uint64(frame[22:])),
		Acked:       Stamp(binary.BigEndian.Uint64(frame[31:])),
	}, frame[HeaderSize:], nil
}
