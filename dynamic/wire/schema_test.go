package wire

// testSchema is a small schema with one of everything.
func testSchema() *Schema {
	const node, entry, empty, anyType = 0, 1, 2, 3
	return &Schema{
		Source: [32]byte{1, 2, 3},
		Services: []ServiceSchema{
			{Name: "z.Last", Deprecated: true},
			{
				Name: "a.Greeter",
				Doc:  Doc{Comment: "Greeter says hello."},
				Methods: []MethodSchema{
					{Name: "Watch", Input: empty, Output: node, ServerStreaming: true},
					{Name: "Hello", Input: node, Output: empty, Doc: Doc{Comment: "Hello says it once."}},
					{Name: "Collect", Input: node, Output: node, ClientStreaming: true, Deprecated: true},
				},
			},
		},
		Messages: []MessageSchema{
			node: {
				Name: "a.Node",
				Doc:  Doc{Comment: "Node is a part of a tree."},
				Fields: []FieldSchema{
					field("name", "name", 1, StringKind, Optional),
					with(field("child_nodes", "childNodes", 2, MessageKind, Repeated), func(f *FieldSchema) { f.Type = node }),
					with(field("labels", "labels", 3, MessageKind, Repeated), func(f *FieldSchema) { f.Type = entry }),
					with(field("color", "color", 9, EnumKind, Optional), func(f *FieldSchema) { f.Presence = true }),
					with(field("left", "left", 5, Int64Kind, Optional), func(f *FieldSchema) { f.Oneof, f.Presence = 0, true }),
					with(field("right", "right", 6, BytesKind, Optional), func(f *FieldSchema) { f.Oneof, f.Presence = 0, true }),
					with(field("maybe", "maybe", 7, BoolKind, Optional), func(f *FieldSchema) { f.Oneof, f.Presence = 1, true }),
					with(field("numbers", "say \"n\"", 8, Sint32Kind, Repeated), func(f *FieldSchema) {
						f.Packed = true
						f.Deprecated = true
						f.Doc = Doc{Comment: "What is counted.", Rules: `{"repeated":{"minItems":"1"}}`, Required: true}
					}),
					with(field("detail", "detail", 10, MessageKind, Optional), func(f *FieldSchema) { f.Type = anyType; f.Presence = true }),
					with(field("must", "must", 400, DoubleKind, Required), func(f *FieldSchema) {
						f.Presence, f.HasDefault, f.Default = true, true, "1.5"
					}),
				},
				Extensions: []FieldSchema{
					with(field("b.size", "[b.size]", 1001, Uint32Kind, Optional), func(f *FieldSchema) { f.Presence = true }),
					with(field("a.group", "[a.group]", 1000, GroupKind, Optional), func(f *FieldSchema) { f.Type = node; f.Presence = true }),
				},
				Oneofs: []OneofSchema{{Name: "side", Doc: Doc{Comment: "One of both."}}, {Name: "_maybe", Synthetic: true}},
			},
			entry: {
				Name: "a.Node.LabelsEntry", MapEntry: true,
				Fields: []FieldSchema{
					field("key", "key", 1, StringKind, Optional),
					field("value", "value", 2, Fixed64Kind, Optional),
				},
			},
			empty: {Name: "a.Empty", Deprecated: true},
			anyType: {
				Name: "google.protobuf.Any", WellKnown: Any,
				Fields: []FieldSchema{
					field("type_url", "typeUrl", 1, StringKind, Optional),
					field("value", "value", 2, BytesKind, Optional),
				},
			},
		},
		Enums: []EnumSchema{{
			Name: "a.Color",
			Values: []ValueSchema{
				{Name: "NONE", Number: 0},
				{Name: "RED", Number: -5, Doc: Doc{Comment: "As blood."}},
				{Name: "ALSO_RED", Number: -5, Deprecated: true},
				{Name: "BLUE", Number: 1 << 20},
			},
			Closed: true,
		}},
	}
}

func field(name, json string, number int, kind Kind, card Cardinality) FieldSchema {
	return FieldSchema{
		Name: name, JSONName: json, TextName: name, Names: uniq(name, json),
		Number: number, Kind: kind, Cardinality: card, Oneof: -1, UTF8: true,
	}
}

// uniq returns the names of a field; those of an extension are in brackets.
func uniq(name, json string) []string {
	if name == json || json[0] == '[' {
		return []string{json}
	}
	return []string{name, json}
}

func with(f FieldSchema, change func(*FieldSchema)) FieldSchema {
	change(&f)
	return f
}
