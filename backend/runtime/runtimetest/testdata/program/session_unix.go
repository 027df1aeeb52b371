//go:build unix

package main

import "syscall"

func session() error {
	_, err := syscall.Setsid()
	return err
}

func group() error { return syscall.Setpgid(0, 0) }
