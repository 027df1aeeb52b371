// Package image makes images of services.
//
//	Fetch    a directory or a git address   →  Source
//	Build    Source                         →  Image, by the user's own go command
//	Push     Image                          →  any registry; only what is missing there
//	WriteLayout                             →  a directory that other tools read
//
// No container engine takes part. An image is two layers, one with what a Go
// program expects of a system and one with the program, and what is attached to
// it: the schema of the service's API. It is the same for the same source, byte
// for byte, wherever and whenever it is built.
package image
