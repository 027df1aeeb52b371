// Program does what its arguments say, one after the other, and then ends. An
// argument is a verb, or a verb with a value: verb=value.
//
//	out err       print the value as a line
//	raw           write the value, which is quoted as in Go, without a line end
//	long          print a line of so many bytes
//	count         print so many numbered lines
//	flood         print numbered lines for ever
//	env args pid  print the environment, the arguments, the process id
//	identity      print the identity and the mode of its file
//	dirs          print whether HOME, TMPDIR and the working directory can be written to
//	listen        serve MICRO_ADDRESS in the background
//	spawn         start itself with the arguments in the value, separated by ';'
//	bare          the same without an environment
//	session       become the leader of a session
//	group         become the leader of a process group
//	wait          wait for SIGTERM
//	ignore        ignore SIGTERM
//	hang          wait for ever
//	alloc         take so many MiB of memory
//	burn          compute for ever in the background
//	many          start so many processes that hang, and print how many there are
//	bomb          start two that do the same, for ever
//	read write    print whether the file can be read, or written to
//	signal        print whether a process can be sent a signal
//	user          print who it is
//	exit          end with a code
//	kill          send itself a signal, by number
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// terminations gets SIGTERM from the first wait on.
var terminations = make(chan os.Signal, 1)

func main() {
	for _, arg := range os.Args[1:] {
		verb, value, _ := strings.Cut(arg, "=")
		if err := do(verb, value); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", arg, err)
			os.Exit(100)
		}
	}
}

func do(verb, value string) error {
	switch verb {
	case "out":
		fmt.Println(value)
	case "err":
		fmt.Fprintln(os.Stderr, value)
	case "raw":
		text, err := strconv.Unquote(value)
		if err != nil {
			return err
		}
		_, err = os.Stdout.WriteString(text)
		return err
	case "long":
		fmt.Println(strings.Repeat("x", number(value)))
	case "count":
		count(number(value))
	case "flood":
		count(-1)
	case "env":
		for _, variable := range os.Environ() {
			fmt.Println(variable)
		}
	case "args":
		for _, arg := range os.Args {
			fmt.Printf("%q\n", arg)
		}
	case "pid":
		fmt.Println("pid", os.Getpid())
	case "identity":
		return identity(os.Getenv("MICRO_IDENTITY_FILE"))
	case "dirs":
		for _, dir := range []string{os.Getenv("HOME"), os.Getenv("TMPDIR"), "."} {
			err := os.WriteFile(filepath.Join(dir, "written"), nil, 0o600)
			fmt.Println("written:", err == nil)
		}
	case "listen":
		return listen(os.Getenv("MICRO_ADDRESS"))
	case "spawn":
		return spawn(value, os.Environ())
	case "bare":
		return spawn(value, []string{"BARE=1"})
	case "session":
		return session()
	case "group":
		return group()
	case "wait":
		signal.Notify(terminations, syscall.SIGTERM)
		fmt.Println("waiting")
		fmt.Println("got", <-terminations)
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
	case "hang":
		fmt.Println("hanging")
		for {
			time.Sleep(time.Hour)
		}
	case "alloc":
		b := make([]byte, number(value)<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		fmt.Println("allocated", len(b))
	case "burn":
		go func() {
			for {
			}
		}()
	case "many":
		for i := range number(value) {
			if err := spawn("hang", os.Environ()); err != nil {
				return err
			}
			fmt.Println("started", i+1)
		}
	case "bomb":
		for {
			_ = spawn("bomb", os.Environ())
			_ = spawn("bomb", os.Environ())
		}
	case "read":
		_, err := os.ReadFile(value)
		fmt.Println("read", value, outcome(err))
	case "write":
		f, err := os.OpenFile(value, os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			f.Close()
		}
		fmt.Println("write", value, outcome(err))
	case "signal":
		p, err := os.FindProcess(number(value))
		if err == nil {
			err = p.Signal(syscall.Signal(0))
		}
		fmt.Println("signal", outcome(err))
	case "user":
		fmt.Println("user", os.Getuid(), os.Getgid())
	case "exit":
		os.Exit(number(value))
	case "kill":
		p, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		if err := p.Signal(syscall.Signal(number(value))); err != nil {
			return err
		}
		time.Sleep(time.Hour)
	default:
		return fmt.Errorf("unknown verb")
	}
	return nil
}

func outcome(err error) string {
	if err != nil {
		return "no"
	}
	return "yes"
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(100)
	}
	return n
}

// count prints n numbered lines, for ever when n is negative.
func count(n int) {
	w := bufio.NewWriterSize(os.Stdout, 32<<10)
	for i := 1; i != n+1; i++ {
		fmt.Fprintf(w, "line %d\n", i)
	}
	w.Flush()
}

func identity(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	fmt.Printf("identity %q %v\n", text, info.Mode())
	return nil
}

func listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return nil
}

func spawn(value string, env []string) error {
	cmd := exec.Command(os.Args[0], strings.Split(value, ";")...)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd.Path = self
	cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdout, os.Stderr, env
	return cmd.Start()
}
