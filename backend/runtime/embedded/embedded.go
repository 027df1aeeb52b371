// Package embedded runs instances as supervised processes of this machine, with
// all that they need and leave in one directory:
//
//	images/<digest>/                          unpacked images
//	instances/<id>/                           where an instance runs
//	logs/<namespace>/<service>/<id>/          what it wrote
//	staging/                                  what is being made or removed
//
// It isolates nothing: an instance sees the machine's files and processes as the
// server does. What it does not see is the server's own environment. Its whole
// family of processes ends with it, and with the server, however that ends.
package embedded
