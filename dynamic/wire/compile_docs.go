package wire

import (
	"cmp"
	"slices"
)

// docEntry is what a schema says about an element.
type docEntry struct {
	id  uint32
	doc Doc
}

// doc notes what the schema says about an element, if it says something.
func (c *compiler) doc(kind, position uint32, d Doc) {
	if position >= 1<<docKind {
		c.tooLarge()
	}
	if c.docs && d != (Doc{}) {
		c.docEntries = append(c.docEntries, docEntry{kind<<docKind | position, d})
	}
}

// finishDocs returns the docs as they lie in a table, nothing when there are
// none.
func (c *compiler) finishDocs() []byte {
	if len(c.docEntries) == 0 {
		return nil
	}
	slices.SortFunc(c.docEntries, func(a, b docEntry) int { return cmp.Compare(a.id, b.id) })
	out := make([]byte, docsHeader, docsHeader+docSize*len(c.docEntries))
	put(out, uint32(len(c.docEntries)))
	var text []byte
	add := func(s string) ref {
		r := ref{uint32(len(text)), uint32(len(s))}
		text = append(text, s...)
		return r
	}
	for _, e := range c.docEntries {
		var rec [docSize]byte
		put(rec[0:], e.id)
		put(rec[4:], flag(docRequired, e.doc.Required))
		putRef(rec[8:], add(e.doc.Comment))
		putRef(rec[16:], add(e.doc.Rules))
		out = append(out, rec[:]...)
	}
	return append(out, text...)
}
