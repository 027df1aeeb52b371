package server

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/backend/backup"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/internal/buildinfo"
	serverv1 "github.com/micro/micro/v3/proto/micro/server/v1"
)

var (
	errBackupRuns = errors.New("another backup is being taken")
	errNoBackup   = errors.New("the data of this server are in an engine that has backups of its own")
)

// serverAPI answers micro.server.v1.Server.
type serverAPI struct {
	serverv1.UnimplementedServerServer
	dataDir string
	store   store.Store
	images  interface {
		CopyTo(ctx context.Context, dir string, first func() error) error
	}
	running sync.Mutex // held while a backup is taken
}

// backupPiece is how much of a backup a message has.
const backupPiece = 256 << 10

func (s *serverAPI) Backup(_ *serverv1.BackupRequest, out grpc.ServerStreamingServer[serverv1.BackupResponse]) error {
	checkpointer, ok := s.store.(store.Checkpointer)
	if !ok {
		return errNoBackup
	}
	if !s.running.TryLock() {
		return errBackupRuns
	}
	defer s.running.Unlock()
	w := &pieces{send: func(p []byte) error { return out.Send(&serverv1.BackupResponse{Data: p}) }}
	buffered := bufio.NewWriterSize(w, backupPiece)
	sum := sha256.New()
	err := backup.Take(out.Context(), io.MultiWriter(buffered, sum), backup.Source{
		DataDir: s.dataDir,
		Version: buildinfo.Version(),
		Copy: func(ctx context.Context, store, images string) error {
			// The images come after what names them, and none of them goes between.
			return s.images.CopyTo(ctx, images, func() error { return checkpointer.Checkpoint(ctx, store) })
		},
	})
	if err == nil {
		err = buffered.Flush()
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("copy the data: %w: %w", store.ErrFull, err)
	}
	if err != nil {
		return err
	}
	return out.Send(&serverv1.BackupResponse{Complete: true, Size: w.size, Sha256: sum.Sum(nil)})
}
