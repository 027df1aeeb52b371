package config

import (
	"github.com/micro/micro/v3/backend/store"
)

// Exported is the configuration of a namespace as it can be set elsewhere.
type Exported struct {
	JSON    []byte // secrets as objects with the only member "$secret"
	Values  int
	LeftOut int // secrets that are not in it
}

// Export returns the configuration that is in a record of a namespace, and false for a
// record of something else. Without secrets they are left out.
func (c *Config) Export(ns string, rec store.Record, secrets bool) (Exported, bool, error) {
	if rec.Key != nowKey(ns) {
		return Exported{}, false, nil
	}
	d, err := decodeDocument(rec)
	if err != nil {
		return Exported{}, true, err
	}
	var out Exported
	shown := leaves{}
	for at, l := range d.Leaves {
		if l.secret() && !secrets {
			out.LeftOut++
			continue
		}
		shown[at] = l
		out.Values++
	}
	v, err := c.value(ns, shown, nil, Mark)
	out.JSON = v.JSON
	if out.JSON == nil {
		out.JSON = []byte(emptyObject)
	}
	return out, true, err
}
