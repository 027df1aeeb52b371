package wire

import (
	"cmp"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Compile lays the schema out as a table. Equal schemas give equal bytes, in
// whatever order their elements come. With docs, what the schema says for people
// is part of the table. The error says what is wrong with the schema: a name
// that occurs twice, a position that does not exist, more than a table can hold.
func (s *Schema) Compile(docs bool) ([]byte, error) {
	c := compiler{
		schema:   s,
		messages: sorted(s.Messages, func(m MessageSchema) string { return m.Name }),
		enums:    sorted(s.Enums, func(e EnumSchema) string { return e.Name }),
		strings:  map[string]ref{},
		docs:     docs,
	}
	c.messageAt, c.enumAt = inverse(c.messages), inverse(c.enums)
	c.compileServices()
	for at, i := range c.messages {
		c.compileMessage(uint32(at), &s.Messages[i])
	}
	c.compileExtensions()
	for at, i := range c.enums {
		c.compileEnum(uint32(at), &s.Enums[i])
	}
	c.compileScoped()
	return c.finish()
}

// compiler lays out one schema. The first thing that is wrong stays in err.
type compiler struct {
	schema     *Schema
	messages   []int // positions in the schema, in the order of the table
	enums      []int
	messageAt  []uint32 // positions in the table, in the order of the schema
	enumAt     []uint32
	extensions []extension
	scoped     []scopedValue

	sections [sections][]byte
	strings  map[string]ref

	docs       bool
	docEntries []docEntry
	err        error
}

// extension is where a field that is an extension lies in the table.
type extension struct {
	name     string
	position uint32
}

// scopedValue is where a value of an enum lies in the table. It belongs to the
// scope in which its enum is declared.
type scopedValue struct {
	scope, name string
	position    uint32
}

// sorted returns the positions of elements in the order of a key, equal ones in
// the order they have.
func sorted[E any, K cmp.Ordered](elems []E, key func(E) K) []int {
	order := make([]int, len(elems))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(key(elems[a]), key(elems[b])) })
	return order
}

// inverse turns positions in one order into those in the other.
func inverse(order []int) []uint32 {
	inv := make([]uint32, len(order))
	for at, i := range order {
		inv[i] = uint32(at)
	}
	return inv
}

func (c *compiler) fail(what, name string) {
	if c.err == nil {
		c.err = errors.New("compile tables: " + what + " " + strconv.Quote(name))
	}
}

func (c *compiler) tooLarge() {
	if c.err == nil {
		c.err = errors.New("compile tables: the schema is too large")
	}
}

// next returns the position that the next record of a section gets.
func (c *compiler) next(section int) uint32 {
	return uint32(uint64(len(c.sections[section])) / sizeOf(section))
}

// add appends a record to a section.
func (c *compiler) add(section int, rec []byte) {
	c.sections[section] = append(c.sections[section], rec...)
	if uint64(len(c.sections[section])) > math.MaxUint32 {
		c.tooLarge()
	}
}

func (c *compiler) addIndex(position uint32) {
	var rec [indexSize]byte
	put(rec[:], position)
	c.add(secIndex, rec[:])
}

// text returns a reference to a string, which is stored once.
func (c *compiler) text(s string) ref {
	if s == "" {
		return ref{}
	}
	if r, ok := c.strings[s]; ok {
		return r
	}
	r := ref{uint32(len(c.sections[secStrings])), uint32(len(s))}
	c.add(secStrings, []byte(s))
	c.strings[s] = r
	return r
}

// key returns references to a name as it stands in JSON behind another member,
// with comma, quotes and colon, and to the name itself.
func (c *compiler) key(name string) (key, plain ref) {
	if !utf8.ValidString(name) {
		c.fail("not UTF-8: the name", name)
	}
	quoted, _ := appendString(nil, []byte(name))
	key = c.text("," + string(quoted) + ":")
	if len(quoted) == len(name)+2 {
		return key, ref{key.off + 2, key.size - 4}
	}
	return key, c.text(name)
}

// typ returns the position of a type in the table.
func (c *compiler) typ(k Kind, position int, of string) uint32 {
	at := c.messageAt
	switch {
	case k == EnumKind:
		at = c.enumAt
	case !k.isMessage():
		return none
	}
	if position < 0 || position >= len(at) {
		c.fail("no such type: that of", of)
		return none
	}
	return at[position]
}

func (c *compiler) compileServices() {
	services := c.schema.Services
	alike := map[string]uint32{} // methods by their folded names
	for i := range services {
		for _, m := range services[i].Methods {
			alike[fold(m.Name)]++
		}
	}
	last := ""
	for at, i := range sorted(services, func(s ServiceSchema) string { return s.Name }) {
		s := &services[i]
		if at > 0 && s.Name == last {
			c.fail("two services", s.Name)
		}
		last = s.Name
		namesakes := slices.ContainsFunc(s.Methods, func(m MethodSchema) bool { return alike[fold(m.Name)] > 1 })
		var rec serviceRec
		putRef(rec[0:], c.text(s.Name))
		put(rec[8:], c.next(secMethods))
		put(rec[12:], uint32(len(s.Methods)))
		put(rec[16:], flag(flagDeprecated, s.Deprecated)|flag(flagNamesakes, namesakes))
		put(rec[20:], c.next(secIndex))
		c.add(secServices, rec[:])
		c.doc(elemService, uint32(at), s.Doc)
		c.compileMethods(uint32(at), s, alike)
	}
}

func (c *compiler) compileMethods(service uint32, s *ServiceSchema, alike map[string]uint32) {
	methods := sorted(s.Methods, func(m MethodSchema) string { return m.Name })
	last := ""
	for at, i := range methods {
		m := &s.Methods[i]
		if at > 0 && m.Name == last {
			c.fail("two methods", s.Name+"."+m.Name)
		}
		last = m.Name
		c.doc(elemMethod, c.next(secMethods), m.Doc)
		var rec methodRec
		putRef(rec[0:], c.text("/"+s.Name+"/"+m.Name))
		put(rec[8:], uint32(len(m.Name)))
		put(rec[12:], c.typ(MessageKind, m.Input, m.Name))
		put(rec[16:], c.typ(MessageKind, m.Output, m.Name))
		put(rec[20:], flag(flagDeprecated, m.Deprecated)|
			flag(flagClientStream, m.ClientStreaming)|flag(flagServerStream, m.ServerStreaming))
		put(rec[24:], service)
		put(rec[28:], alike[fold(m.Name)])
		c.add(secMethods, rec[:])
	}
	for _, at := range sorted(methods, func(i int) string { return fold(s.Methods[i].Name) }) {
		c.addIndex(uint32(at))
	}
}

func (c *compiler) compileEnum(at uint32, e *EnumSchema) {
	if at > 0 && c.schema.Enums[c.enums[at-1]].Name == e.Name {
		c.fail("two enums", e.Name)
	}
	c.doc(elemEnum, at, e.Doc)
	var rec enumRec
	putRef(rec[0:], c.text(e.Name))
	put(rec[8:], c.next(secValues))
	put(rec[12:], uint32(len(e.Values)))
	for i := range e.Values {
		v := &e.Values[i]
		if !isFullName([]byte(v.Name)) {
			c.fail("not an identifier: the value", v.Name)
		}
		c.doc(elemValue, c.next(secValues), v.Doc)
		var rec valueRec
		putRef(rec[0:], c.text(v.Name))
		put(rec[8:], uint32(v.Number))
		put(rec[12:], flag(flagDeprecated, v.Deprecated))
		put(rec[16:], at)
		c.scoped = append(c.scoped, scopedValue{scopeOf(e.Name), v.Name, c.next(secValues)})
		c.add(secValues, rec[:])
	}

	names := sorted(e.Values, func(v ValueSchema) string { return v.Name })
	put(rec[16:], c.next(secIndex))
	for i, v := range names {
		if i > 0 && e.Values[v].Name == e.Values[names[i-1]].Name {
			c.fail("two values", e.Name+"."+e.Values[v].Name)
		}
		c.addIndex(uint32(v))
	}
	put(rec[20:], c.next(secIndex))
	// The first of those that share a number stands for it.
	numbers := slices.Clone(names)
	slices.SortFunc(numbers, func(a, b int) int {
		return cmp.Or(cmp.Compare(e.Values[a].Number, e.Values[b].Number), cmp.Compare(a, b))
	})
	numbers = slices.CompactFunc(numbers, func(a, b int) bool { return e.Values[a].Number == e.Values[b].Number })
	for _, v := range numbers {
		c.addIndex(uint32(v))
	}
	put(rec[24:], uint32(len(numbers)))
	put(rec[28:], flag(flagDeprecated, e.Deprecated)|flag(flagClosed, e.Closed)|flag(flagNullValue, e.NullValue))
	c.add(secEnums, rec[:])
}

func (c *compiler) compileScoped() {
	slices.SortFunc(c.scoped, func(a, b scopedValue) int {
		return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.name, b.name), cmp.Compare(a.position, b.position))
	})
	for _, v := range c.scoped {
		var rec [scopedSize]byte
		put(rec[:], v.position)
		c.add(secScoped, rec[:])
	}
}

func flag(bit uint32, set bool) uint32 {
	if set {
		return bit
	}
	return 0
}

// finish puts header, sections and docs together.
func (c *compiler) finish() ([]byte, error) {
	size := uint64(headerSize)
	for _, section := range c.sections {
		size += uint64(len(section))
	}
	docs := c.finishDocs()
	if size+uint64(len(docs)) > math.MaxInt32 {
		c.tooLarge()
	}
	if c.err != nil {
		return nil, c.err
	}
	out := make([]byte, headerSize, size+uint64(len(docs)))
	copy(out, magic)
	put(out[atVersion:], Version)
	put(out[atCoreSize:], uint32(size))
	put(out[atDocsSize:], uint32(len(docs)))
	put(out[atDocsSum:], crc32.ChecksumIEEE(docs))
	copy(out[atSource:], c.schema.Source[:])
	for i, section := range c.sections {
		put(out[atDirectory+8*i:], uint32(len(out)))
		put(out[atDirectory+8*i+4:], c.next(i))
		out = append(out, section...)
	}
	put(out[atCoreSum:], checksum(out))
	return append(out, docs...), nil
}
