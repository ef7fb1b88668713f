package logfile

import (
	"time"
	"unicode/utf8"
)

// ending is what stands in an entry after the text: all entries of a chunk share
// it, so the time is formatted once a chunk and not once a line.
func ending(stream string) string {
	b := make([]byte, 0, 80)
	b = append(append(b, `","stream":"`...), stream...)
	b = append(b, `","time":"`...)
	b = time.Now().UTC().AppendFormat(b, time.RFC3339Nano)
	return string(append(b, "\"}\n"...))
}

func appendEntry(out, text []byte, ending string) []byte {
	return append(appendText(append(out, `{"log":"`...), text), ending...)
}

// plain has a bit for each ASCII character that stands for itself in the text of an
// entry: not for controls, quote, backslash, and, as Docker has it, not for < > &.
var plain = [2]uint64{
	0xffffffff << 32 &^ (1<<'"' | 1<<'&' | 1<<'<' | 1<<'>'),
	^uint64(1 << ('\\' - 64)),
}

// appendText appends text as the inside of a JSON string, byte for byte as
// Docker's json-file driver does (moby, jsonlog/jsonlogbytes.go): tab is \u0009, what is no UTF-8
// is \ufffd.
func appendText(out, text []byte) []byte {
	const hex = "0123456789abcdef"
	begin := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if plain[c>>6]>>(c&63)&1 != 0 {
				i++
				continue
			}
			out = append(out, text[begin:i]...)
			switch c {
			case '"', '\\':
				out = append(out, '\\', c)
			case '\n':
				out = append(out, '\\', 'n')
			case '\r':
				out = append(out, '\\', 'r')
			default:
				out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			begin = i
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			out = append(append(out, text[begin:i]...), `\ufffd`...)
			begin = i + size
		case r == '\u2028' || r == '\u2029': // newlines to JavaScript
			out = append(append(out, text[begin:i]...), '\\', 'u', '2', '0', '2', hex[r&15])
			begin = i + size
		}
		i += size
	}
	return append(out, text[begin:]...)
}
