package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The values of a manifest that YAML has no type for. Each is written so that it is
// read as the same.

// duration is a time.Duration that is always written with its unit: 5 would be five
// nanoseconds.
type duration time.Duration

// UnmarshalYAML reads what [time.ParseDuration] takes, and nothing below 0.
func (d *duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: %q is no duration, such as 5s or 1m30s", n.Line, n.Value)
	}
	*d = duration(v)
	return nil
}

// MarshalYAML writes the duration without units that are nothing.
func (d duration) MarshalYAML() (any, error) { return readableDuration(time.Duration(d).String()), nil }

// envValue is the value of an environment variable.
type envValue struct {
	text   string
	config string // a path of the configuration; empty: the text counts
}

// UnmarshalYAML reads a scalar as the text that it is written as, and {config: PATH}.
func (v *envValue) UnmarshalYAML(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		*v = envValue{}
	case n.Kind == yaml.ScalarNode:
		*v = envValue{text: n.Value}
	case n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Value == "config" &&
		n.Content[1].Kind == yaml.ScalarNode && n.Content[1].Value != "":
		*v = envValue{config: n.Content[1].Value}
	default:
		return fmt.Errorf("line %d: the value of an environment variable is text, or {config: PATH}", n.Line)
	}
	return nil
}

// MarshalYAML writes what UnmarshalYAML reads.
func (v envValue) MarshalYAML() (any, error) {
	if v.config != "" {
		return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{
			{Kind: yaml.ScalarNode, Value: "config"}, {Kind: yaml.ScalarNode, Tag: "!!str", Value: v.config},
		}}, nil
	}
	return v.text, nil
}

// cpu is in thousandths of a core.
type cpu int64

// UnmarshalYAML reads 500m, 0.5 and 2.
func (c *cpu) UnmarshalYAML(n *yaml.Node) error {
	v, err := parseCPU(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: %q is no number of cores, such as 2, 0.5 or 500m", n.Line, n.Value)
	}
	*c = v
	return nil
}

var errQuantity = errors.New("no quantity")

func parseCPU(s string) (cpu, error) {
	if text, ok := strings.CutSuffix(s, "m"); ok {
		n, err := strconv.ParseUint(text, 10, 31)
		return cpu(n), err
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= 1e6) || f*1000 != math.Trunc(f*1000) {
		return 0, errQuantity
	}
	return cpu(f * 1000), nil
}

func (c cpu) String() string {
	if c%1000 == 0 {
		return strconv.FormatInt(int64(c/1000), 10)
	}
	return strconv.FormatInt(int64(c), 10) + "m"
}

// MarshalYAML writes what UnmarshalYAML reads.
func (c cpu) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: c.String()}, nil
}

// memory is a number of bytes.
type memory int64

// units are those that sizes are written in, the largest first.
func units() []struct {
	name string
	size int64
} {
	return []struct {
		name string
		size int64
	}{
		{"Ti", 1 << 40},
		{"Gi", 1 << 30},
		{"Mi", 1 << 20},
		{"Ki", 1 << 10},
		{"T", 1e12},
		{"G", 1e9},
		{"M", 1e6},
		{"k", 1e3},
		{"K", 1e3},
		{"", 1},
	}
}

// UnmarshalYAML reads 256Mi, 1G and 1048576.
func (b *memory) UnmarshalYAML(n *yaml.Node) error {
	v, err := parseMemory(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: %q is no number of bytes, such as 256Mi or 1G", n.Line, n.Value)
	}
	*b = v
	return nil
}

func parseMemory(s string) (memory, error) {
	s = strings.TrimSuffix(s, "B")
	for _, u := range units() {
		text, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 62)
		if err != nil || n > uint64(math.MaxInt64/u.size) {
			return 0, errQuantity
		}
		return memory(int64(n) * u.size), nil
	}
	return 0, errQuantity
}

func (b memory) String() string {
	for _, u := range units() {
		if b != 0 && strings.HasSuffix(u.name, "i") && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalYAML writes what UnmarshalYAML reads.
func (b memory) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: b.String()}, nil
}
