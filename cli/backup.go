package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/internal/atomicfile"
	serverv1 "github.com/micro/micro/v3/proto/micro/server/v1"
)

type backupOptions struct{ passphraseFile string }

func newBackupCmd(app *App) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy all data of the server to a file while it works",
		Long: `Copy all data of the server to FILE, or to standard output for -, while it works: of all
namespaces the accounts, rules, configuration, records, blobs, events, releases and
images, and the server's keys and settings. What was acknowledged before the command
began is in it. Logs of services are not.

The file holds every secret of the server, its master key included: only you can read
it, and --passphrase-file encrypts it, as age does (https://age-encryption.org). It
appears when it is whole. Only an administrator of the namespace micro may do this.`,
		Example: `  micro backup server.backup
  micro backup server.backup --passphrase-file passphrase
  micro backup - | ssh vault 'cat > server.backup'`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0]) },
	}
	passphraseFlag(cmd, &o.passphraseFile, "encrypt the backup with what the first line of this file says")
	return cmd
}

func passphraseFlag(cmd *cobra.Command, file *string, usage string) {
	cmd.Flags().StringVar(file, "passphrase-file", "", usage)
}

// readPassphrase returns the first line of a file.
func readPassphrase(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	passphrase := strings.TrimSuffix(string(line), "\r")
	if passphrase == "" {
		return "", &Error{Message: name + " has no passphrase in its first line", Exit: ExitUsage}
	}
	return passphrase, nil
}

func (o *backupOptions) run(ctx context.Context, app *App, name string) error {
	if name == "-" && app.Terminal.Out {
		return usage("micro backup FILE", "a backup is no text, and standard output is a terminal")
	}
	write := app.receiveBackup
	if o.passphraseFile != "" {
		passphrase, err := readPassphrase(o.passphraseFile)
		if err != nil {
			return err
		}
		write = func(ctx context.Context, w io.Writer) (int64, error) {
			return sealed(passphrase, w, func(w io.Writer) (int64, error) { return app.receiveBackup(ctx, w) })
		}
	}
	if name == "-" {
		_, err := write(ctx, app.Out)
		return err
	}
	var size int64
	err := atomicfile.Replace(name, func(w io.Writer) (err error) {
		size, err = write(ctx, w)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(app.Out, "the backup is in %s: %s\n", filepath.ToSlash(name), words.Size(size))
	if o.passphraseFile == "" {
		fmt.Fprintln(app.Err, "it holds every secret of the server: keep it like its master key, or use --passphrase-file")
	}
	return nil
}

// sealed encrypts what write writes, and returns what that returns.
func sealed(passphrase string, w io.Writer, write func(io.Writer) (int64, error)) (int64, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return 0, err
	}
	out, err := age.Encrypt(w, recipient)
	if err != nil {
		return 0, err
	}
	n, err := write(out)
	if err != nil {
		return 0, err // without an end it is told to be cut off
	}
	return n, out.Close()
}

// receiveBackup writes a backup of the server and returns its length. Without an error
// it was whole.
func (a *App) receiveBackup(ctx context.Context, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return 0, err
	}
	stream, err := serverv1.NewServerClient(conn).Backup(ctx, &serverv1.BackupRequest{})
	if err != nil {
		return 0, err
	}
	p, sum := a.transfer("copying", "the server's data", -1), sha256.New()
	to := io.MultiWriter(w, sum, p)
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errors.New("the server ended the backup before it was complete")
		}
		if err == nil {
			_, err = to.Write(rsp.GetData())
		}
		if err == nil && rsp.GetComplete() && (rsp.GetSize() != p.done || !bytes.Equal(rsp.GetSha256(), sum.Sum(nil))) {
			err = errors.New("what the server sent is not what it wrote")
		}
		if err != nil || rsp.GetComplete() {
			p.end(err)
			return p.done, err
		}
	}
}

// Restored is what a restore has done.
type Restored struct {
	Created  time.Time // when the backup was taken
	Micro    string    // the version that took it
	Files    int
	Bytes    int64
	Replaced string // where that is now which was there before; empty: nothing was
}

type restoreOptions struct {
	data           string
	force          bool
	passphraseFile string
}

func newRestoreCmd(app *App) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup into the data directory of a server",
		Long: `Put what "micro backup" has copied to FILE, or standard input for -, into the data
directory of a server that does not run. All of it is read, compared with its digests and
checked before anything that is there is touched, and takes its place in one step; what
was there is kept beside it, under a name that is printed.

A directory that holds something needs --force; one that a server uses is refused.`,
		Example: `  micro restore server.backup
  micro restore server.backup --data /srv/micro --force
  micro restore server.backup --passphrase-file passphrase`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "directory of the server's data (the user's data directory)")
	f.BoolVar(&o.force, "force", false, "put it in the place of what is there")
	passphraseFlag(cmd, &o.passphraseFile, "the file with the passphrase that the backup was encrypted with")
	return cmd
}

func (o *restoreOptions) run(ctx context.Context, app *App, name string) error {
	dir, err := app.dataDir(o.data)
	if err != nil {
		return err
	}
	in := interruptibleInput(ctx, app.In)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	if in, err = o.open(in, name); err != nil {
		return err
	}
	p := app.transfer("restoring", dir, -1)
	r, err := app.Restore(ctx, io.TeeReader(in, p), dir, o.force)
	p.end(err)
	if err != nil {
		return err
	}
	fmt.Fprintf(app.Out, "restored to %s: %d files, %s, of %s by micro %s\n",
		dir, r.Files, words.Size(r.Bytes), r.Created.Local().Format("2006-01-02 15:04:05"), r.Micro)
	if r.Replaced != "" {
		fmt.Fprintf(app.Out, "what was there before is in %s\n", r.Replaced)
	}
	return nil
}

// ageHeader begins what was encrypted.
const ageHeader = "age-encryption.org/"

// open decrypts what needs it.
func (o *restoreOptions) open(in io.Reader, name string) (io.Reader, error) {
	head := make([]byte, len(ageHeader))
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	in = io.MultiReader(bytes.NewReader(head[:n]), in)
	encrypted := string(head[:n]) == ageHeader
	switch {
	case !encrypted && o.passphraseFile != "":
		return nil, usage("micro restore "+name, "the backup is not encrypted, and there is a --passphrase-file")
	case !encrypted:
		return in, nil
	case o.passphraseFile == "":
		return nil, usage("micro restore "+name+" --passphrase-file FILE", "the backup is encrypted")
	}
	passphrase, err := readPassphrase(o.passphraseFile)
	if err != nil {
		return nil, err
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	out, err := age.Decrypt(in, identity)
	if errors.As(err, new(*age.NoIdentityMatchError)) {
		return nil, &Error{Message: "the backup was encrypted with another passphrase", Exit: ExitError}
	}
	if err != nil {
		return nil, fmt.Errorf("the backup is damaged: %w", err)
	}
	return &sealedReader{out}, nil
}

// sealedReader says of what it reads that it was encrypted.
type sealedReader struct{ r io.Reader }

func (s *sealedReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("the encrypted backup is cut off or damaged: %w", err)
	}
	return n, err
}
