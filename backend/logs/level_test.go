package logs

import "testing"

func TestLevelOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Level{
		"":                   0,
		"hello":              0,
		"no error was found": 0,
		"the ERROR is in the seventh word of this ERROR":             Error,
		`{"time":"2026-11-05T10:00:00Z","level":"ERROR","msg":"x"}`:  Error,
		`{"time":"x","level":"ERROR+2","msg":"x"}`:                   Error,
		`{"level":"warn","ts":1.5,"msg":"zap"}`:                      Warn,
		`{"msg":"\"level\":\"error\"","level":"info"}`:               Info,
		`{"msg":"level","nested":{"level":"error"},"level":"debug"}`: Debug,
		`{"log":{"level":"error"},"message":"ecs"}`:                  Error,
		`{"log.level":"warning"}`:                                    Warn,
		`{"severity":"CRITICAL","message":"cloud"}`:                  Fatal,
		`{"level":50,"msg":"pino"}`:                                  Error,
		`{"level": 30 ,"msg":"pino"}`:                                Info,
		`{"level":3,"short_message":"gelf"}`:                         Error,
		`{"level":true}`:                                             0,
		`{"level":"error`:                                            Error,
		`{"level"`:                                                   0,
		`{"a":[{"level":"error"}],"b":1}`:                            0,
		`{}`:                                                         0,
		`time=2026-11-05T10:00:00Z level=ERROR msg="x y"`:            Error,
		`msg="level=error" level=info`:                               Info,
		`msg="a \" level=error" lvl=dbg`:                             Debug,
		`time="2026-11-05" level=fatal msg=x`:                        Fatal,
		`level="warning" msg=x`:                                      Warn,
		`a=b c=d ERROR of a message`:                                 0,
		"E1105 10:00:00.000000    1234 main.go:12] klog":             Error,
		"I1105 10:00:00.000000    1234 main.go:12] klog":             Info,
		"F1105 10:00:00.000000    1234 main.go:12] klog":             Fatal,
		"2026-11-05T10:00:00.000Z\tERROR\tmain.go:12\tzap":           Error,
		"2026-11-05T10:00:00.000Z\t\x1b[31mERROR\x1b[0m\tmain.go":    Error,
		"\x1b[90m10:00AM\x1b[0m \x1b[31mERR\x1b[0m zerolog":          Error,
		"10:00AM WRN zerolog":                                        Warn,
		"2026/11/05 10:00:00 ERROR slog's default":                   Error,
		"2026-11-05 10:00:00,000 - root - WARNING - python":          Warn,
		"ERROR:root:python":                                          Error,
		"ERRO[0000] logrus":                                          Error,
		"[error] nginx":                                              Error,
		"2026/11/05 10:00:00 [warn] 7#7: nginx":                      Warn,
		"error: it went wrong":                                       Error,
		"warning: careful":                                           Warn,
		"warning to all":                                             0,
		"2026-11-05 10:00:00 | INFO | loguru":                        Info,
		"<3>journald":                                                Error,
		"<x>html":                                                    0,
		"panic: boom":                                                Fatal,
		"fatal error: all goroutines are asleep - deadlock!":         Fatal,
		"Traceback (most recent call last):":                         Error,
		"  at main":                                                  0,
		"INF":                                                        Info,
		"INFINITY":                                                   0,
		"GET /error 200":                                             0,
	} {
		if got := LevelOf(text); got != want {
			t.Errorf("%q: level %d, want %d", text, got, want)
		}
	}
}

// FuzzLevelOf looks for a text that cannot be read.
func FuzzLevelOf(f *testing.F) {
	for _, s := range []string{`{"level":"error"}`, `{"log":{"log":{"level":`, "level=", "\x1b[", "<3>", `a="\`, `{"\`, "[", "E1105 10:00:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l := LevelOf(s); l > Fatal {
			t.Errorf("%q: level %d", s, l)
		}
	})
}

func BenchmarkLevelOf(b *testing.B) {
	for name, text := range map[string]string{
		"JSON":   `{"time":"2026-11-05T10:00:00.000000000Z","level":"INFO","msg":"a request was answered","path":"/orders/17","took":1234567}`,
		"logfmt": `time=2026-11-05T10:00:00.000Z level=INFO msg="a request was answered" path=/orders/17 took=1.2ms`,
		"plain":  "a request for /orders/17 was answered within 1.2 ms, which is less than usual",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				LevelOf(text)
			}
		})
	}
}
