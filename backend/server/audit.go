package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/audit"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// openAudit opens the audit log and what records in it.
func (s *Server) openAudit(masterKey []byte) error {
	var err error
	s.audit, err = audit.New(audit.Options{
		Store:     s.config.Store,
		MasterKey: masterKey,
		Entries:   s.config.AuditEntries,
		Age:       s.config.AuditAge,
		Exists: func(ctx context.Context, ns string) (store.Cond, error) {
			cond, err := s.auth.Condition(ctx, ns)
			if errors.Is(err, auth.ErrNotFound) {
				err = audit.ErrNotFound
			}
			return cond, err
		},
	})
	if err != nil {
		return err
	}
	s.onClose(s.audit.Close)
	s.recorder = &recorder{log: s.audit, auth: s.auth, reason: s.statuses.reason}
	return nil
}

// pruneEvery is how often old entries are removed of logs in which nothing is recorded.
const pruneEvery = 24 * time.Hour

// pruneAudit removes old entries until ctx ends.
func (s *Server) pruneAudit(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		namespaces, err := s.auth.Namespaces(ctx)
		for _, ns := range namespaces {
			if e := s.audit.Prune(ctx, ns); e != nil && !errors.Is(e, audit.ErrNotFound) {
				err = errors.Join(err, e)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.config.Logger.Error("old entries of the audit log could not be removed; it is tried again tomorrow", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// auditAPI answers micro.auth.v1.Audit.
type auditAPI struct {
	authv1.UnimplementedAuditServer
	log  *audit.Log
	auth *auth.Auth
}

// entriesAtOnce bounds a message of entries.
const entriesAtOnce = 256

func (a *auditAPI) Read(req *authv1.ReadAuditRequest, out grpc.ServerStreamingServer[authv1.ReadAuditResponse]) error {
	ctx := out.Context()
	if req.GetAfter() < 0 || req.GetLimit() < 0 || req.GetTail() < 0 {
		return invalid("after, limit and tail cannot be below zero")
	}
	q := audit.Query{
		After:   req.GetAfter(),
		Since:   timeOf(req.GetSince()),
		Account: req.GetAccount(),
		Method:  req.GetMethod(),
		First:   int(req.GetLimit()),
		Last:    int(req.GetTail()),
		Follow:  req.GetFollow(),
	}
	batch := &authv1.ReadAuditResponse{}
	flush := func() error {
		if len(batch.GetEntries()) == 0 {
			return nil
		}
		err := out.Send(batch)
		batch = &authv1.ReadAuditResponse{}
		return err
	}
	for e, err := range a.log.Read(ctx, callerOf(ctx).namespace, q) {
		if err != nil {
			return err
		}
		batch.Entries = append(batch.Entries, auditEntry(e))
		// Entries that are waited for are sent as they come.
		if q.Follow || len(batch.GetEntries()) == entriesAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func auditEntry(e audit.Entry) *authv1.AuditEntry {
	out := &authv1.AuditEntry{
		Sequence:  e.Sequence,
		Time:      timestamppb.New(e.Time),
		RequestId: e.Request,
		Account:   e.Account,
		Token:     e.Token,
		Address:   e.Address,
		Namespace: e.Namespace,
		Method:    e.Method,
		Object:    e.Object,
		Outcome:   e.Outcome,
		Missed:    e.Count,
		Damaged:   e.Kind == audit.Damaged,
	}
	if e.Account != "" {
		out.AccountType = authv1.AccountType_ACCOUNT_TYPE_USER
		if e.Service {
			out.AccountType = authv1.AccountType_ACCOUNT_TYPE_SERVICE
		}
	}
	switch e.Kind {
	case audit.Begun, audit.Ended, audit.Made:
		out.Decision = authv1.AuditDecision_AUDIT_DECISION_ALLOWED
	case audit.Refused, audit.Missed:
		out.Decision = authv1.AuditDecision_AUDIT_DECISION_DENIED
	case audit.Damaged:
	}
	return out
}

func (a *auditAPI) Verify(req *authv1.VerifyAuditRequest, out grpc.ServerStreamingServer[authv1.VerifyAuditResponse]) error {
	ctx := out.Context()
	c := callerOf(ctx)
	if !req.GetAll() {
		return a.verify(ctx, c.namespace, req.GetNoted(), out)
	}
	if len(req.GetNoted()) > 0 {
		return invalid("what was noted is of one log, and all are asked for")
	}
	if err := c.checkOperator(); err != nil {
		return err
	}
	namespaces, err := a.auth.Namespaces(ctx)
	if err != nil {
		return err
	}
	for _, ns := range namespaces {
		if err := a.verify(ctx, ns, nil, out); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditAPI) verify(
	ctx context.Context, ns string, noted []*authv1.NotedAuditEntry, out grpc.ServerStreamingServer[authv1.VerifyAuditResponse],
) error {
	var list []audit.Noted
	for _, n := range noted {
		list = append(list, audit.Noted{Sequence: n.GetSequence(), Hash: n.GetHash()})
	}
	r, err := a.log.Verify(ctx, ns, list...)
	if err != nil {
		return err
	}
	return out.Send(&authv1.VerifyAuditResponse{
		Namespace: ns,
		First:     r.First,
		Last:      r.Last,
		Hash:      r.Hash,
		Problems:  r.Problems,
		More:      r.More,
	})
}
