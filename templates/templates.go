// Package templates holds the projects that `micro new` makes, as text/template
// files. A file NAME.tmpl becomes NAME; what stands in {{ }} in its path and in
// its content are fields of the generator's data.
package templates

import "embed"

// FS has a folder for each template.
//
//go:embed */*
var FS embed.FS
