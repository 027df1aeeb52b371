// Package docker is to run instances as containers of an engine that has the API of
// Docker, which is Docker and Podman. It has the client so far, and no driver.
package docker
