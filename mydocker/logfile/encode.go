package logfile

import (
	"time"
	"unicode/utf8"
)

// ending is what stands in an entry after the text: all entries of a chunk share
// it, so the time is formatted once a chunk and not once a line.
func ending(stream, attributes string) string {
	return `","stream":"` + stream + `"` + attributes + `,"time":"` + time.Now().UTC().Format(time.RFC3339Nano) + "\"}\n"
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
// is \ufffd, and U+2028 and U+2029, newlines to JavaScript, are escaped.
func appendText(out, text []byte) []byte {
	const hex = "0123456789abcdef"
	begin := 0 // of what is not yet appended
	for i := 0; ; {
		for i < len(text) && text[i] < utf8.RuneSelf && plain[text[i]>>6]>>(text[i]&63)&1 != 0 {
			i++
		}
		if i == len(text) {
			return append(out, text[begin:]...)
		}
		c, size := utf8.DecodeRune(text[i:])
		if c >= utf8.RuneSelf && c != '\u2028' && c != '\u2029' && (c != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		out = append(out, text[begin:i]...)
		switch c {
		case '"', '\\':
			out = append(out, '\\', byte(c))
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		default:
			out = append(out, '\\', 'u', hex[c>>12], hex[c>>8&15], hex[c>>4&15], hex[c&15])
		}
		i += size
		begin = i
	}
}
