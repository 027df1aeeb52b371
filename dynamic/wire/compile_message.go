package wire

import (
	"cmp"
	"slices"
)

func (c *compiler) compileMessage(at uint32, m *MessageSchema) {
	if at > 0 && c.schema.Messages[c.messages[at-1]].Name == m.Name {
		c.fail("two messages", m.Name)
	}
	if len(m.Fields)+len(m.Extensions) > maxLocal {
		c.fail("too many fields", m.Name)
		return
	}
	c.doc(elemMessage, at, m.Doc)
	var rec messageRec
	putRef(rec[0:], c.text(m.Name))
	put(rec[8:], c.next(secFields))
	put(rec[12:], uint32(len(m.Fields)))
	put(rec[16:], uint32(len(m.Extensions)))

	locals := make([]*FieldSchema, 0, len(m.Fields)+len(m.Extensions))
	for i := range m.Fields {
		locals = append(locals, &m.Fields[i])
	}
	for _, i := range sorted(m.Extensions, func(f FieldSchema) string { return f.Name }) {
		locals = append(locals, &m.Extensions[i])
	}
	shared := sharedOneofs(m)
	required := 0
	for i, f := range locals {
		if f.Cardinality == Required {
			required++
		}
		c.compileField(at, m, f, i >= len(m.Fields), f.Oneof >= 0 && f.Oneof < len(shared) && shared[f.Oneof])
	}
	put(rec[20:], c.next(secOneofs))
	put(rec[24:], uint32(len(m.Oneofs)))
	c.compileOneofs(at, m)
	put(rec[28:], c.next(secIndex))
	c.indexNumbers(m, locals)
	put(rec[32:], c.next(secNames))
	put(rec[36:], c.addNames(m, locals))
	put(rec[40:], uint32(required))
	rec[44] = byte(m.WellKnown)
	put(rec[48:], flag(flagDeprecated, m.Deprecated)|flag(flagMapEntry, m.MapEntry)|
		flag(flagUnsupported, m.Unsupported)|flag(flagOneofs, slices.Contains(shared, true)))
	c.add(secMessages, rec[:])
}

func (c *compiler) compileField(message uint32, m *MessageSchema, f *FieldSchema, isExtension, shared bool) {
	if f.Number < 1 || f.Number > maxFieldNumber {
		c.fail("impossible number: that of", m.Name+"."+f.Name)
	}
	if f.Kind < DoubleKind || f.Kind > Sint64Kind || f.Cardinality < Optional || f.Cardinality > Repeated {
		c.fail("impossible type: that of", m.Name+"."+f.Name)
	}
	if f.Oneof < -1 || f.Oneof >= len(m.Oneofs) {
		c.fail("no such oneof: that of", m.Name+"."+f.Name)
	}
	at := c.next(secFields)
	c.doc(elemField, at, f.Doc)
	if isExtension {
		c.extensions = append(c.extensions, extension{f.Name, at})
	}
	isMap := false
	if f.Kind == MessageKind && f.Type >= 0 && f.Type < len(c.schema.Messages) {
		entry := &c.schema.Messages[f.Type]
		isMap = entry.MapEntry && f.Cardinality == Repeated
		if isMap && len(entry.Fields) != 2 {
			c.fail("a map without key and value", m.Name+"."+f.Name)
		}
	}

	var rec fieldRec
	put(rec[0:], uint32(f.Number))
	rec[4], rec[5], rec[6] = byte(f.Kind), byte(f.Cardinality), f.Kind.wireType()
	if f.Kind.packable() {
		rec[7] = 1
	}
	put(rec[8:], flag(flagDeprecated, f.Deprecated)|flag(flagPacked, f.Packed)|flag(flagUTF8, f.UTF8)|
		flag(flagPresence, f.Presence)|flag(flagMap, isMap)|flag(flagExtension, isExtension)|
		flag(flagDefault, f.HasDefault)|
		flag(flagShared, shared)|flag(flagPlain, f.Cardinality != Repeated && !f.Kind.isMessage() && !shared))
	put(rec[12:], c.typ(f.Kind, f.Type, m.Name+"."+f.Name))
	put(rec[16:], uint32(f.Oneof)) // none for -1
	jsonKey, jsonName := c.key(f.JSONName)
	textKey, _ := c.key(f.TextName)
	putRef(rec[20:], jsonKey)
	putRef(rec[28:], textKey)
	putRef(rec[36:], jsonName)
	putRef(rec[44:], c.text(f.Name))
	putRef(rec[52:], c.text(f.Default))
	put(rec[60:], message)
	c.add(secFields, rec[:])
}

// sharedOneofs tells which oneofs of a message have more than one member.
func sharedOneofs(m *MessageSchema) []bool {
	members := make([]int, len(m.Oneofs))
	shared := make([]bool, len(m.Oneofs))
	for i := range m.Fields {
		if o := m.Fields[i].Oneof; o >= 0 && o < len(members) {
			members[o]++
			shared[o] = members[o] > 1
		}
	}
	return shared
}

func (c *compiler) compileOneofs(message uint32, m *MessageSchema) {
	for i := range m.Oneofs {
		o := &m.Oneofs[i]
		c.doc(elemOneof, c.next(secOneofs), o.Doc)
		var rec oneofRec
		putRef(rec[0:], c.text(o.Name))
		put(rec[8:], flag(flagSynthetic, o.Synthetic))
		put(rec[12:], message)
		c.add(secOneofs, rec[:])
	}
}

func (c *compiler) indexNumbers(m *MessageSchema, locals []*FieldSchema) {
	order := sorted(locals, func(f *FieldSchema) int { return f.Number })
	for i, local := range order {
		if i > 0 && locals[local].Number == locals[order[i-1]].Number {
			c.fail("two fields of one number", m.Name+"."+locals[local].Name)
		}
		c.addIndex(uint32(local))
	}
}

// addNames returns how many names there are.
func (c *compiler) addNames(m *MessageSchema, locals []*FieldSchema) uint32 {
	type named struct {
		name  string
		local int
	}
	var names []named
	for local, f := range locals {
		for _, name := range f.Names {
			names = append(names, named{name, local})
		}
	}
	slices.SortFunc(names, func(a, b named) int { return cmp.Compare(a.name, b.name) })
	for i, n := range names {
		if i > 0 && n.name == names[i-1].name {
			c.fail("two fields of one name", m.Name+"."+n.name)
		}
		var rec nameRec
		_, plain := c.key(n.name)
		putRef(rec[0:], plain)
		put(rec[8:], uint32(n.local))
		c.add(secNames, rec[:])
	}
	return uint32(len(names))
}

func (c *compiler) compileExtensions() {
	slices.SortFunc(c.extensions, func(a, b extension) int { return cmp.Compare(a.name, b.name) })
	for i, x := range c.extensions {
		if i > 0 && x.name == c.extensions[i-1].name {
			c.fail("two extensions", x.name)
		}
		var rec [extensionSize]byte
		put(rec[:], x.position)
		c.add(secExtensions, rec[:])
	}
}
