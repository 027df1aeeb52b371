package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/micro/micro/v3/backend"
	"github.com/micro/micro/v3/backend/archive"
	"github.com/micro/micro/v3/backend/backup"
	"github.com/micro/micro/v3/cli"
)

// restore puts a backup into a data directory.
func restore(ctx context.Context, r io.Reader, dir string, force bool) (cli.Restored, error) {
	done, err := backend.Restore(ctx, r, dir, force)
	return cli.Restored(done), explainData(err, force)
}

// check reads all of a data directory.
func check(ctx context.Context, dir string) (cli.CheckReport, error) {
	r, err := backend.Check(ctx, dir)
	if err != nil {
		return cli.CheckReport{}, explainData(err, false)
	}
	report := cli.CheckReport{JSON: r, Seen: []string{
		fmt.Sprintf("images    %d blobs with %d bytes", r.Images, r.ImageBytes),
		fmt.Sprintf("database  %d tables with %d bytes", r.Tables, r.TableBytes),
	}}
	if r.Unread {
		report.Seen = append(report.Seen, "          what is in them is not looked at")
	} else {
		report.Seen = append(report.Seen,
			fmt.Sprintf("records   %d, and %d changes", r.Records, r.Changes),
			fmt.Sprintf("events    %d in %d topics", r.Events, r.Topics),
			fmt.Sprintf("contents  %d namespaces, %d values of configuration, %d services, %d entries of audit logs", r.Namespaces, r.Values, r.Services, r.Audit),
			fmt.Sprintf("blobs     %d with %d bytes", r.Blobs, r.BlobBytes))
	}
	for _, p := range r.Problems {
		report.Problems = append(report.Problems, cli.DataProblem(p))
	}
	return report, nil
}

// explainData adds a hint to what can go wrong with a data directory.
func explainData(err error, force bool) error {
	e := &cli.Error{Exit: cli.ExitError}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, backup.ErrNotEmpty):
		e.Hint = "micro restore FILE --force"
	case errors.Is(err, backend.ErrInUse):
		e.Hint = "end the server that uses it, or name another directory with --data"
	case errors.Is(err, backend.ErrUnfinished):
		e.Hint = "micro server"
	case errors.Is(err, archive.ErrCut), errors.Is(err, archive.ErrDamaged), errors.As(err, new(*backend.DamagedError)):
		what := "nothing was changed"
		if !force {
			what = "nothing was restored"
		}
		e.Message = fmt.Sprintf("%s; %s", err, what)
		return e
	default:
		return err
	}
	e.Message = err.Error()
	return e
}
