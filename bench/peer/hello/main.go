// Command hello is the floor of a process: it prints one line.
package main

import "fmt"

func main() { fmt.Println("hello") }
