//go:build unix

package main

import (
	"fmt"
	"html"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"

	uv "github.com/charmbracelet/ultraviolet"
)

// TestPicture draws the pictures in the documentation, of the dashboard and of a call that
// is filled in, from the running product; make pictures runs it.
func TestPicture(t *testing.T) {
	dir := os.Getenv("MICRO_PICTURES")
	if dir == "" {
		t.Skip("MICRO_PICTURES names no directory to draw into")
	}
	s := newTestServer(t)
	s.micro("micro\n", "login", "--username", "admin", "--password-stdin")
	for _, name := range []string{"billing", "mail", "orders", "shop"} {
		s.micro("", "new", name)
	}
	s.micro("", "run", "mail")
	s.micro("", "run", "orders")
	s.micro("", "run", "shop")
	s.micro("", "scale", "shop", "2")
	s.breakService("billing")
	s.micro("", "run", "--no-wait", "billing")
	v := s.dashboard(t, 110, 16)
	v.see("billing is crashed")
	for i := range 400 {
		s.micro("", "shop", "--name=Alice")
		if i%3 == 0 {
			s.micro("", "orders", "--name=Alice")
		}
	}
	v.see("most likely: it panicked")
	v.draw(filepath.Join(dir, "dashboard.svg"))
	v.resize(110, 28)
	v.press("jjj\r")
	v.see("ENDPOINT", "Shop.Call", "calls/s", "memory")
	v.draw(filepath.Join(dir, "dashboard-service.svg"))
	v.press("q")
	v.end(0)
	s.drawForm(t, filepath.Join(dir, "call.svg"))
}

// drawForm draws a call that is filled in, and its answer.
func (s *testServer) drawForm(t *testing.T, path string) {
	t.Helper()
	s.fixture("plain")
	v := s.call(t, 120, 26, "--env=plain", "call", "-i", "fixture.v1.Everything", "echo",
		"--proto", "fixture/v1/fixture.proto", "-I", mustAbs("../../testdata/fixture/proto"),
		"--string=Hello", "--color=red", "--address.city=Oslo", "--address.lines=Karl Johans gate 1", "--labels", "env=dev", "--phone=+47 21 00 00 00", "--time=2026-12-24T18:00:00Z", "--nickname=")
	v.see("[Form]")
	v.press("s")
	v.see("✓ ok", `"city": "Oslo"`)
	v.press("/contact\r")
	v.see("How to reach somebody.")
	v.press("\x1b")
	v.see("nickname", "▾ labels")
	v.draw(path)
	v.press("q")
	v.end(0)
}

// breakService makes the program of a service end as soon as it begins.
func (s *testServer) breakService(name string) {
	s.t.Helper()
	for _, v := range s.env {
		home, ok := strings.CutPrefix(v, "HOME=")
		if !ok {
			continue
		}
		path := filepath.Join(home, name, "main.go")
		source, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		broken := strings.Replace(string(source), "func main() {", "func main() {\n\tpanic(\"no database at db.internal:5432\")", 1)
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// The size of a cell of a picture, and what a terminal shows where no colour is said.
const (
	cellWidth, cellHeight = 8.4, 17.0
	foreground            = "#d8dee9"
	background            = "#16181d"
)

// draw writes what is on the screen as an SVG.
func (v *virtualTerminal) draw(path string) {
	v.t.Helper()
	var b strings.Builder
	width, height := float64(v.screen.Width())*cellWidth+20, float64(v.screen.Height())*cellHeight+20
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\">\n", width, height)
	fmt.Fprintf(&b, "<rect width=\"100%%\" height=\"100%%\" rx=\"6\" fill=%q/>\n", background)
	for y := range v.screen.Height() {
		for x := 0; x < v.screen.Width(); {
			x += v.drawRun(&b, x, y)
		}
	}
	b.WriteString("</svg>\n")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// drawRun draws the cells from one on that look the same, and returns how many they are.
func (v *virtualTerminal) drawRun(b *strings.Builder, x, y int) int {
	first := v.screen.CellAt(x, y)
	var text strings.Builder
	n := 0
	for x+n < v.screen.Width() {
		c := v.screen.CellAt(x+n, y)
		if c == nil || first == nil || !c.Style.Equal(&first.Style) {
			break
		}
		text.WriteString(c.Content)
		n += max(1, c.Width)
	}
	if first == nil || n == 0 {
		return 1
	}
	fg, bg := hex(first.Style.Fg, foreground), hex(first.Style.Bg, "")
	if first.Style.Attrs&uv.AttrReverse != 0 {
		fg, bg = background, foreground
	}
	left, top := 10+float64(x)*cellWidth, 10+float64(y)*cellHeight
	if bg != "" {
		fmt.Fprintf(b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=%q/>\n", left, top, float64(n)*cellWidth, cellHeight, bg)
	}
	if strings.TrimSpace(text.String()) == "" {
		return n
	}
	weight := ""
	if first.Style.Attrs&uv.AttrBold != 0 {
		weight = " font-weight=\"bold\""
	}
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" fill=%q%s xml:space=\"preserve\" textLength=\"%.1f\">%s</text>\n",
		left, top+13, fg, weight, float64(n)*cellWidth, html.EscapeString(text.String()))
	return n
}

// hex returns a colour as SVG has it, or another where there is none.
func hex(c color.Color, none string) string {
	if c == nil {
		return none
	}
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}
