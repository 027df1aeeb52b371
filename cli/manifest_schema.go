package cli

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
)

func newSchemaCmd(app *App) *cobra.Command {
	cmd := parentCmd("schema", "Print schemas for editors and other tools")
	cmd.Example = "  micro schema manifest"
	cmd.AddCommand(&cobra.Command{
		Use:   "manifest",
		Short: "Print the JSON Schema of micro.yaml",
		Long: `Print the JSON Schema of micro.yaml, with which editors complete and check it. For
those that use yaml-language-server, write it to a file and name that in the first
line of micro.yaml:

  # yaml-language-server: $schema=micro.schema.json`,
		Example: "  micro schema manifest",
		Args:    exactly(0),
		RunE: func(*cobra.Command, []string) error {
			_, err := app.Out.Write(manifestSchema())
			return err
		},
	})
	return cmd
}

// manifestSchema returns the JSON Schema of a micro.yaml.
func manifestSchema() []byte {
	s := schemaOf(reflect.TypeFor[manifest]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = manifestName
	s["description"] = "How micro runs a service."
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // it is made of strings
	}
	return append(b, '\n')
}

// jsonSchema is a JSON Schema, or a part of one.
type jsonSchema = map[string]any

// schemaOf returns the schema of a type of which manifests are made.
func schemaOf(t reflect.Type) jsonSchema {
	switch t {
	case reflect.TypeFor[duration]():
		return jsonSchema{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`}
	case reflect.TypeFor[cpu]():
		return jsonSchema{"anyOf": []jsonSchema{{"type": "number", "minimum": 0}, {"type": "string", "pattern": `^[0-9]+m$|^[0-9]+(\.[0-9]+)?$`}}}
	case reflect.TypeFor[memory]():
		return jsonSchema{"anyOf": []jsonSchema{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": `^[0-9]+ ?([kKMGT]i?)?B?$`}}}
	case reflect.TypeFor[envValue]():
		path := jsonSchema{"type": "string", "minLength": 1, "description": "A path of the configuration, such as database.password."}
		return jsonSchema{"anyOf": []jsonSchema{
			{"type": []string{"string", "number", "boolean", "null"}},
			{"type": "object", "properties": jsonSchema{"config": path}, "required": []string{"config"}, "additionalProperties": false},
		}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.String:
		return jsonSchema{"type": "string"}
	case reflect.Bool:
		return jsonSchema{"type": "boolean"}
	case reflect.Int32, reflect.Int64:
		return jsonSchema{"type": "integer", "minimum": 0}
	case reflect.Slice:
		item := schemaOf(t.Elem())
		item["type"] = []string{"string", "number", "boolean"} // YAML's scalars are taken as they are written
		return jsonSchema{"type": "array", "items": item}
	case reflect.Map:
		return jsonSchema{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		properties := jsonSchema{}
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			p := schemaOf(f.Type)
			p["description"] = f.Tag.Get("doc")
			if example := f.Tag.Get("example"); example != "" {
				p["examples"] = []string{example}
			}
			properties[name] = p
		}
		return jsonSchema{"type": "object", "properties": properties, "additionalProperties": false}
	default:
		panic("cli: a manifest has no " + t.String())
	}
}
