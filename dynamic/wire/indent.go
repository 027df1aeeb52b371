package wire

// maxIndent bounds how deeply lines are indented, and with it how much longer
// than the input the output of deeply nested JSON can be.
const maxIndent = 100

// AppendIndent appends compact JSON, as [Message.AppendJSON] writes it, with
// every member and element on a line of its own behind indent for each level,
// and returns the longer slice. It does not verify the JSON: what is not JSON
// comes out as something else that is not. The two slices must not overlap.
func AppendIndent(dst, json []byte, indent string) []byte {
	depth := 0
	newline := func() {
		dst = append(dst, '\n')
		for range min(depth, maxIndent) {
			dst = append(dst, indent...)
		}
	}
	for i := 0; i < len(json); i++ {
		switch c := json[i]; c {
		case '{', '[':
			dst = append(dst, c)
			if i+1 < len(json) && json[i+1] == c+2 { // ] and } are two behind
				i++
				dst = append(dst, json[i])
				continue
			}
			depth++
			newline()
		case '}', ']':
			depth = max(depth-1, 0)
			newline()
			dst = append(dst, c)
		case ',':
			dst = append(dst, c)
			newline()
		case ':':
			dst = append(dst, c, ' ')
		case '"':
			n, _, reason := lexString(json[i:])
			if reason != "" {
				return append(dst, json[i:]...)
			}
			dst = append(dst, json[i:i+n]...)
			i += n - 1
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
