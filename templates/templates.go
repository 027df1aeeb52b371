// Package templates holds the projects that `micro new` makes, each in a folder that
// has the form of a template of anybody's: template.yaml says what it is, a file
// NAME.tmpl becomes NAME, and what stands in {{ }} in its content and in any path is
// replaced.
package templates

import "embed"

// FS has a folder for each template.
//
//go:embed */*
var FS embed.FS
