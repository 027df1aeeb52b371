package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
)

// ServeOptions are the settings of a server.
type ServeOptions struct {
	DataDir string
	Gateway string
	Proxy   string
	Metrics string // empty: none
	Store   string // the URL of the engine
	Events  string
	Runtime string
	TLS     *tls.Config
	// Signup says who may sign up: "" nobody, "on" everybody, "invite" who has an
	// invitation, "mail" who can read mail.
	Signup   string
	SMTP     SMTPOptions
	TokenTTL time.Duration
	// AuditEntries and AuditAge bound what is kept of who did what; 0: not bounded.
	AuditEntries int64
	AuditAge     time.Duration
	// BlobQuota is how many bytes the blobs of a namespace may have; 0: no bound.
	BlobQuota int64
	// MaxCalls and MaxStreams are how many calls may be under way at once.
	MaxCalls, MaxStreams int

	Logger   *slog.Logger
	Ready    func(gateway, proxy, metrics string)
	Password func(namespace, account, password string, local bool)
}

// SMTPOptions are those of the mail server that codes are sent by.
type SMTPOptions struct{ Address, From, Username, Password string }

func newServerCmd(app *App) *cobra.Command {
	v := viper.New()
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a server in the foreground",
		Long: `Run a server: it keeps services running and puts them behind one door, for gRPC on
the proxy's address and for HTTP on the gateway's. Ctrl-C stops the services and
then the server; the next start runs them again.

Every flag can be set by the environment too, as MICRO_SERVER_PROXY for --proxy,
or in the file server.yaml of the data directory, as "proxy:".

On an address that others can reach the administrator admin gets a random password,
which is printed once; on this machine alone it is "micro".

--signup says who may make a namespace of his own: nobody, everybody, who has an
invitation ("micro auth create invitation"), or who types the code that is sent to his
mailbox. Without --smtp-address the codes are in the server's log. The password of the
mail server is MICRO_SERVER_SMTP_PASSWORD, or in a file.`,
		Example: `  micro server
  micro server --gateway 127.0.0.1:0 --proxy 127.0.0.1:0 --data /srv/micro`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), app, v) },
	}
	f := cmd.Flags()
	f.String("gateway", "127.0.0.1:8080", "address of the HTTP API gateway; port 0 takes a free one")
	f.String("proxy", "127.0.0.1:8081", "address of the identity proxy, for gRPC and images; port 0 takes a free one")
	f.String("metrics", "", "address where Prometheus finds the server's figures, at /metrics, for whoever asks (none)")
	f.String("data", "", "directory of the server's data (the user's data directory)")
	f.String("store", "embedded:", "engine that keeps accounts, rules and desired state")
	f.String("events", "embedded:", "engine that keeps what is published")
	f.String("runtime", "embedded:", "engine that runs services: embedded:, or docker: for containers of Docker or Podman")
	f.String("signup", "auto", "who may make a namespace: on, off, invite, mail, or auto for on when only this machine can reach the server, else off")
	f.String("smtp-address", "", "mail server as HOST:PORT, which has to offer STARTTLS; smtps://HOST:PORT for TLS from the beginning")
	f.String("smtp-from", "", "address that mail comes from, such as \"Acme <no-reply@example.com>\"")
	f.String("smtp-username", "", "account at the mail server")
	f.String("smtp-password-file", "", "file with the password at the mail server")
	f.String("tls-cert", "", "PEM file of the certificate of both addresses")
	f.String("tls-key", "", "PEM file of the certificate's key")
	f.Duration("token-lifetime", 10*time.Minute, "how long an access token is good before it has to be renewed; at most 24h")
	f.Int64("audit-entries", 100_000, "how many entries of the audit log are kept of each namespace; 0 for no bound")
	f.String("audit-age", "365d", "how long entries of the audit log are kept, such as 90d, or never to keep them for ever")
	f.String("blob-quota", "0", "how much the blobs of a namespace may have, for example 10GiB; 0 for no bound")
	f.Int("max-calls", 1024, "how many calls of the server itself may be under way at once; with more, calls are refused until some have ended")
	f.Int("max-streams", 4096, "how many streams, and calls of services, may be under way at once")
	f.String("log-level", "info", "debug, info, warn or error")
	f.String("log-format", "text", "text or json")
	v.SetEnvPrefix("MICRO_SERVER")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	_ = v.BindPFlags(f) // fails for a nil set only
	cmd.AddCommand(newServerCheckCmd(app))
	return cmd
}

func serve(ctx context.Context, app *App, v *viper.Viper) error {
	o, err := serveOptions(app, v)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	o.Ready = func(gateway, proxy, metrics string) {
		if metrics != "" {
			metrics = fmt.Sprintf(", metrics http://%s/metrics", metrics)
		}
		fmt.Fprintf(app.Out, "micro %s is ready: gateway http://%s, proxy %s, data %s%s\n", app.Version, gateway, proxy, o.DataDir, metrics)
	}
	o.Password = func(namespace, account, password string, local bool) {
		advice := "it is not shown again"
		if local {
			advice = "it is good on this machine only; log in with: micro login"
		}
		fmt.Fprintf(app.Err, "the account %s of namespace %s has the password %s; %s\n", account, namespace, password, advice)
	}
	return app.Serve(ctx, o)
}

// dataDir returns the directory of a server's data: that of a flag, of the environment,
// or the user's.
func (a *App) dataDir(flag string) (string, error) {
	dir := cmp.Or(flag, a.Getenv("MICRO_SERVER_DATA"))
	if dir == "" {
		dirs, err := a.Dirs()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(dirs.Data, "server")
	}
	return filepath.Abs(dir)
}

func serveOptions(app *App, v *viper.Viper) (ServeOptions, error) {
	dir, err := app.dataDir(v.GetString("data"))
	if err != nil {
		return ServeOptions{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ServeOptions{}, fmt.Errorf("the data directory: %w", err)
	}
	v.SetConfigFile(filepath.Join(dir, "server.yaml"))
	if _, err := os.Stat(v.ConfigFileUsed()); err == nil {
		if err := v.ReadInConfig(); err != nil {
			return ServeOptions{}, &Error{Message: fmt.Sprintf("%s: %s", v.ConfigFileUsed(), err), Exit: ExitUsage}
		}
	}
	o := ServeOptions{
		DataDir: dir,
		Gateway: v.GetString("gateway"),
		Proxy:   v.GetString("proxy"),
		Metrics: v.GetString("metrics"),
		Store:   v.GetString("store"),
		Events:  v.GetString("events"),
		Runtime: v.GetString("runtime"),
	}
	for flag, address := range map[string]*string{"gateway": &o.Gateway, "proxy": &o.Proxy, "metrics": &o.Metrics} {
		if *address == "" && flag == "metrics" {
			continue
		}
		if err := checkListen(flag, address); err != nil {
			return ServeOptions{}, err
		}
	}
	if o.Signup, err = signupMode(v.GetString("signup"), o.Proxy); err != nil {
		return ServeOptions{}, err
	}
	if o.SMTP, err = smtpOptions(v); err != nil {
		return ServeOptions{}, err
	}
	if o.Logger, err = logger(app, v.GetString("log-level"), v.GetString("log-format")); err != nil {
		return ServeOptions{}, err
	}
	if o.TokenTTL = v.GetDuration("token-lifetime"); o.TokenTTL < time.Second || o.TokenTTL > 24*time.Hour {
		return ServeOptions{}, usage("micro server --help", "--token-lifetime is %q, which is not from 1s to 24h", v.GetString("token-lifetime"))
	}
	if o.AuditEntries = v.GetInt64("audit-entries"); o.AuditEntries < 0 {
		return ServeOptions{}, usage("micro server --help", "--audit-entries is %d", o.AuditEntries)
	}
	if o.AuditAge, err = parseLife(v.GetString("audit-age")); err != nil {
		return ServeOptions{}, usage("micro server --help", "--audit-age is %q: %v", v.GetString("audit-age"), err)
	}
	if quota := v.GetString("blob-quota"); quota != "0" {
		if o.BlobQuota, err = front.ParseSize(quota); err != nil {
			return ServeOptions{}, usage("micro server --help", "--blob-quota: %s", err)
		}
	}
	for flag, n := range map[string]*int{"max-calls": &o.MaxCalls, "max-streams": &o.MaxStreams} {
		if *n = v.GetInt(flag); *n < 8 || *n > 1_000_000 {
			return ServeOptions{}, usage("micro server --help", "--%s is %q, no number from 8 to 1000000", flag, v.GetString(flag))
		}
	}
	cert, key := v.GetString("tls-cert"), v.GetString("tls-key")
	if (cert == "") != (key == "") {
		return ServeOptions{}, usage("micro server --help", "TLS needs both --tls-cert and --tls-key")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return ServeOptions{}, fmt.Errorf("the server's certificate: %w", err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	return o, nil
}

// signupMode returns who may sign up with a server that listens on an address.
func signupMode(flag, proxy string) (string, error) {
	switch flag {
	case "on", "true":
		return "on", nil
	case "off", "false":
		return "", nil
	case "invite", "mail":
		return flag, nil
	case "auto":
		if (envs.Env{Address: proxy}).IsLoopback() || strings.HasPrefix(proxy, "127.") || strings.HasPrefix(proxy, "localhost:") {
			return "on", nil
		}
		return "", nil
	default:
		return "", usage("micro server --help", "--signup is %q, none of on, off, auto, invite, mail", flag)
	}
}

// smtpOptions reads the settings of the mail server. The password is on no command line,
// which others can see.
func smtpOptions(v *viper.Viper) (SMTPOptions, error) {
	o := SMTPOptions{
		Address:  v.GetString("smtp-address"),
		From:     v.GetString("smtp-from"),
		Username: v.GetString("smtp-username"),
		Password: v.GetString("smtp-password"),
	}
	if file := v.GetString("smtp-password-file"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return SMTPOptions{}, fmt.Errorf("the password of the mail server: %w", err)
		}
		o.Password = strings.TrimRight(string(b), "\r\n")
	}
	switch {
	case o.Address != "" && o.From == "":
		return SMTPOptions{}, usage("micro server --help", "--smtp-address needs --smtp-from")
	case o.Address == "" && o.Username != "":
		return SMTPOptions{}, usage("micro server --help", "--smtp-username needs --smtp-address")
	case (o.Username == "") != (o.Password == ""):
		return SMTPOptions{}, usage("micro server --help", "the mail server needs both --smtp-username and a password, by --smtp-password-file or MICRO_SERVER_SMTP_PASSWORD")
	}
	return o, nil
}

// logger returns the server's log, which goes to standard error.
func logger(app *App, level, form string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("micro server --help", "--log-level is %q, none of debug, info, warn, error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch form {
	case "text":
		return slog.New(slog.NewTextHandler(app.Err, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(app.Err, o)), nil
	default:
		return nil, usage("micro server --help", "--log-format is %q, neither text nor json", form)
	}
}

// checkListen completes the address of a flag: a port alone means this machine.
func checkListen(flag string, address *string) error {
	host, port, err := net.SplitHostPort(*address)
	if err != nil {
		return usage("micro server --help", "--%s is %q; it has the form HOST:PORT, for example 127.0.0.1:8080", flag, *address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return usage("micro server --help", "--%s has the port %q, which is no number from 0 to 65535", flag, port)
	}
	*address = net.JoinHostPort(host, port)
	return nil
}
