package steadyhttp

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"unicode/utf16"
)

// decodeBody undoes what stands between an error's body and its text: a
// compression that the transport left alone, as it does for a caller who asked
// for it, and encodings other than UTF-8. It works on a copy.
func decodeBody(data []byte) (text []byte, cut bool) {
	if len(data) > 2 && data[0] == 0x1f && data[1] == 0x8b {
		data, cut = gunzip(data)
	}
	switch {
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		data = data[3:]
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		data = decodeUTF16(data[2:], binary.BigEndian)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		data = decodeUTF16(data[2:], binary.LittleEndian)
	case len(data) > 3 && data[0] == 0 && data[1] != 0 && data[2] == 0 && data[3] != 0:
		data = decodeUTF16(data, binary.BigEndian)
	case len(data) > 3 && data[0] != 0 && data[1] == 0 && data[2] != 0 && data[3] == 0:
		data = decodeUTF16(data, binary.LittleEndian)
	}
	return bytes.TrimLeft(data, " \t\r\n"), cut
}

// gunzip decompresses no more than maxPeek, whatever the data promise.
func gunzip(data []byte) (text []byte, cut bool) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, true
	}
	text, err = io.ReadAll(io.LimitReader(z, maxPeek))
	return text, err != nil || len(text) == maxPeek
}

// decodeUTF16 converts to UTF-8; an odd last byte is dropped.
func decodeUTF16(data []byte, order binary.ByteOrder) []byte {
	u := make([]uint16, len(data)/2)
	for i := range u {
		u[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(u)))
}
