// Smtp is a mail server that keeps the last mail in a file, until it is killed. It takes
// none for mailboxes that begin with "refused".
package main

import (
	"log"
	"net"
	"net/textproto"
	"os"
	"strings"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	put("smtp.addr", l.Addr().String())
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(textproto.NewConn(c))
	}
}

func serve(c *textproto.Conn) {
	defer c.Close()
	c.PrintfLine("220 mail.test")
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			c.PrintfLine("250-mail.test")
			c.PrintfLine("250 AUTH PLAIN")
		case "RCPT":
			if strings.Contains(line, "<refused") {
				c.PrintfLine("550 there is no such mailbox")
				continue
			}
			c.PrintfLine("250 fine")
		case "AUTH":
			c.PrintfLine("235 fine")
		case "DATA":
			c.PrintfLine("354 go on")
			lines, err := c.ReadDotLines()
			if err != nil {
				return
			}
			put("mail", strings.Join(lines, "\n")+"\n")
			c.PrintfLine("250 taken")
		default:
			c.PrintfLine("250 fine")
		}
	}
}

// put writes a file that is there whole, or not at all.
func put(name, text string) {
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		log.Fatal(err)
	}
}
