package dynamic

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits of descriptors that are being read: room for those that [checkLimits]
// allows, with their options and comments.
const (
	maxParts = 2 * maxElements // messages of any type
	maxDepth = maxNesting + 16 // messages in messages
)

// unmarshal reads a descriptor. Two bytes are enough for a message that takes
// hundreds in memory, so messages are counted before any is made.
func unmarshal(raw []byte, m proto.Message) error {
	left := maxParts
	if !count(raw, m.ProtoReflect().Descriptor(), maxDepth, &left) {
		return fmt.Errorf("more than %d parts, or nested more than %d levels deep", maxParts, maxDepth)
	}
	return proto.Unmarshal(raw, m)
}

// count takes the messages in the wire form of a message from what is left, and
// reports false when that is not enough or they are nested too deep. What is wrong
// with the rest is for others to say.
func count(raw []byte, d protoreflect.MessageDescriptor, depth int, left *int) bool {
	if depth < 0 {
		return false
	}
	for len(raw) > 0 {
		number, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return true
		}
		raw = raw[n:]
		size := protowire.ConsumeFieldValue(number, typ, raw)
		if size < 0 {
			return true
		}
		f := d.Fields().ByNumber(number)
		if f != nil && f.Message() != nil && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(raw)
			if *left--; *left < 0 || !count(value, f.Message(), depth-1, left) {
				return false
			}
		}
		raw = raw[size:]
	}
	return true
}
