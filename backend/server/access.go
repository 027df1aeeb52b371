package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/proxy"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	imagev1 "github.com/micro/micro/v3/proto/micro/image/v1"
	namespacev1 "github.com/micro/micro/v3/proto/micro/namespace/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	serverv1 "github.com/micro/micro/v3/proto/micro/server/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// access says what a caller of a method needs.
type access struct {
	kind  accessKind
	typ   string               // the type of the resource
	class string               // auth.Read or auth.Write
	name  func(req any) string // the name of the resource; "*" when nil
	// writes reports whether a request of class auth.Read is of class auth.Write after
	// all; nil: none is.
	writes func(req any) bool
	// reveals reports whether a request asks for secrets too, which needs a right of
	// its own; nil: none does.
	reveals func(req any) bool
	audit   auditing
	// platform says that the method is about the whole server, and is recorded there.
	platform bool
}

type accessKind uint8

const (
	byRule    accessKind = iota // a rule of the namespace decides
	anybody                     // no account
	anAccount                   // any account, for what is its own
	ownCheck                    // the handler decides
	operator                    // an administrator of the namespace of who runs the server
)

// named is any request about something with a name.
type named interface{ GetName() string }

// ofService is any request about something of a service.
type ofService interface{ GetService() string }

// ofTopic is any request about a topic.
type ofTopic interface{ GetTopic() string }

// methods holds every method that the server itself answers, with who may call it and
// what is recorded of that. A method that is not here is refused.
func methods() map[string]access {
	read := func(typ string, a auditing) access { return access{typ: typ, class: auth.Read, audit: a} }
	write := func(typ string, a auditing) access { return access{typ: typ, class: auth.Write, audit: a} }
	withName := func(a access) access {
		a.name = func(req any) string {
			if w, ok := req.(*runtimev1.WatchRequest); ok && w.GetName() == "" {
				return "*" // it is all of them
			}
			if r, ok := req.(named); ok {
				return r.GetName()
			}
			return ""
		}
		return a
	}
	withService := func(a access) access {
		a.name = func(req any) string {
			switch r := req.(type) {
			case *registryv1.RegisterRequest:
				return r.GetInstance().GetService()
			case ofService:
				return r.GetService()
			}
			return ""
		}
		return a
	}
	revealing := func(a access) access {
		a.reveals = asksForSecrets
		return a
	}
	withTable := func(a access) access {
		a.name = tableName
		return a
	}
	withAnyTable := func(a access) access {
		a.name = func(req any) string {
			if r, ok := req.(inTable); ok && r.GetTable() != "" {
				return r.GetTable()
			}
			return "*"
		}
		return a
	}
	withTopic := func(a access) access {
		a.name = func(req any) string {
			if r, ok := req.(ofTopic); ok {
				return r.GetTopic()
			}
			return ""
		}
		return a
	}
	// Who shares a queue takes from the others what it gets.
	sharing := func(a access) access {
		a.writes = func(req any) bool {
			r, ok := req.(*eventsv1.SubscribeRequest)
			return !ok || r.GetQueue() != ""
		}
		return a
	}
	return map[string]access{
		authv1.Auth_GetSignup_FullMethodName:      {kind: anybody, audit: unrecorded},
		authv1.Auth_SendCode_FullMethodName:       {kind: anybody, audit: unrecorded},
		authv1.Auth_Signup_FullMethodName:         {kind: anybody, audit: recordedInside, platform: true},
		authv1.Auth_Login_FullMethodName:          {kind: anybody, audit: recordedAfter},
		authv1.Auth_Refresh_FullMethodName:        {kind: anybody, audit: recordedReuse},
		authv1.Auth_Logout_FullMethodName:         {kind: anybody, audit: recorded},
		authv1.Auth_WhoAmI_FullMethodName:         {kind: anAccount, audit: unrecorded},
		authv1.Auth_ChangePassword_FullMethodName: {kind: anAccount, audit: recorded},
		authv1.Accounts_Create_FullMethodName:     write("auth", recorded),
		authv1.Accounts_List_FullMethodName:       read("auth", unrecorded),
		authv1.Accounts_Update_FullMethodName:     write("auth", recorded),
		authv1.Accounts_Delete_FullMethodName:     write("auth", recorded),
		authv1.Rules_Create_FullMethodName:        write("auth", recorded),
		authv1.Rules_List_FullMethodName:          read("auth", unrecorded),
		authv1.Rules_Update_FullMethodName:        write("auth", recorded),
		authv1.Rules_Delete_FullMethodName:        write("auth", recorded),
		authv1.Rules_Explain_FullMethodName:       write("auth", unrecorded),
		authv1.Tokens_Create_FullMethodName:       {kind: anAccount, audit: recorded},
		authv1.Tokens_List_FullMethodName:         {kind: anAccount, audit: unrecorded},
		authv1.Tokens_Delete_FullMethodName:       {kind: anAccount, audit: recorded},
		authv1.Namespaces_List_FullMethodName:     {kind: anAccount, audit: unrecorded},
		authv1.Namespaces_Create_FullMethodName:   {kind: operator, audit: recorded, platform: true},
		authv1.Namespaces_Delete_FullMethodName:   {kind: anAccount, audit: recorded, platform: true},
		authv1.Keys_List_FullMethodName:           {kind: operator, audit: unrecorded},
		authv1.Keys_Rotate_FullMethodName:         {kind: operator, audit: recorded, platform: true},
		authv1.Invitations_Create_FullMethodName:  {kind: operator, audit: recorded, platform: true},
		authv1.Invitations_List_FullMethodName:    {kind: operator, audit: unrecorded},
		authv1.Invitations_Delete_FullMethodName:  {kind: operator, audit: recorded, platform: true},
		// What others have done is for those who could do it.
		authv1.Audit_Read_FullMethodName:   write("auth", unrecorded),
		authv1.Audit_Verify_FullMethodName: write("auth", unrecorded),

		configv1.Config_Get_FullMethodName:      revealing(read("config", recordedSecrets)),
		configv1.Config_Set_FullMethodName:      write("config", recorded),
		configv1.Config_Delete_FullMethodName:   write("config", recorded),
		configv1.Config_List_FullMethodName:     revealing(read("config", recordedSecrets)),
		configv1.Config_History_FullMethodName:  revealing(read("config", recordedSecrets)),
		configv1.Config_Rollback_FullMethodName: write("config", recorded),
		configv1.Config_Watch_FullMethodName:    revealing(read("config", recordedSecrets)),

		registryv1.Registry_Register_FullMethodName:   withService(write("registry", recorded)),
		registryv1.Registry_Renew_FullMethodName:      withService(write("registry", unrecorded)),
		registryv1.Registry_Deregister_FullMethodName: withService(write("registry", recorded)),
		registryv1.Registry_List_FullMethodName:       read("registry", unrecorded),
		registryv1.Registry_Watch_FullMethodName:      read("registry", unrecorded),
		registryv1.Registry_Health_FullMethodName:     withService(read("registry", unrecorded)),
		// Who may call a service may see what it is made of.
		registryv1.Registry_Get_FullMethodName:       withName(read("service", unrecorded)),
		registryv1.Registry_GetSchema_FullMethodName: withService(read("service", unrecorded)),

		eventsv1.Events_Publish_FullMethodName:      withTopic(write("events", unrecorded)),
		eventsv1.Events_Read_FullMethodName:         withTopic(read("events", unrecorded)),
		eventsv1.Events_Consume_FullMethodName:      withTopic(write("events", unrecorded)),
		eventsv1.Events_Broadcast_FullMethodName:    withTopic(write("events", unrecorded)),
		eventsv1.Events_Subscribe_FullMethodName:    sharing(withTopic(read("events", unrecorded))),
		eventsv1.Events_ListTopics_FullMethodName:   read("events", unrecorded),
		eventsv1.Events_SetRetention_FullMethodName: withTopic(write("events", recorded)),
		eventsv1.Events_DeleteTopic_FullMethodName:  withTopic(write("events", recorded)),
		eventsv1.Events_ListGroups_FullMethodName:   withTopic(read("events", unrecorded)),
		eventsv1.Events_DeleteGroup_FullMethodName:  withTopic(write("events", recorded)),

		runtimev1.Runtime_Apply_FullMethodName:    withName(write("runtime", recorded)),
		runtimev1.Runtime_Scale_FullMethodName:    withName(write("runtime", recorded)),
		runtimev1.Runtime_Restart_FullMethodName:  withName(write("runtime", recorded)),
		runtimev1.Runtime_Rollback_FullMethodName: withName(write("runtime", recorded)),
		runtimev1.Runtime_Undo_FullMethodName:     withName(write("runtime", recorded)),
		runtimev1.Runtime_Delete_FullMethodName:   withName(write("runtime", recorded)),
		runtimev1.Runtime_Get_FullMethodName:      withName(read("runtime", unrecorded)),
		runtimev1.Runtime_List_FullMethodName:     read("runtime", unrecorded),
		runtimev1.Runtime_Watch_FullMethodName:    withName(read("runtime", unrecorded)),
		runtimev1.Runtime_Releases_FullMethodName: withName(read("runtime", unrecorded)),
		runtimev1.Runtime_Changes_FullMethodName:  withName(read("runtime", unrecorded)),
		runtimev1.Runtime_Journal_FullMethodName:  withName(read("runtime", unrecorded)),
		runtimev1.Runtime_Logs_FullMethodName:     withName(read("runtime", unrecorded)),

		statsv1.Stats_Get_FullMethodName:   withService(read("stats", unrecorded)),
		statsv1.Stats_List_FullMethodName:  read("stats", unrecorded),
		statsv1.Stats_Watch_FullMethodName: withService(read("stats", unrecorded)),

		imagev1.Images_List_FullMethodName:      read("runtime", unrecorded),
		imagev1.Images_Get_FullMethodName:       withName(read("runtime", unrecorded)),
		imagev1.Images_Delete_FullMethodName:    withName(write("runtime", recorded)),
		imagev1.Images_Prune_FullMethodName:     write("runtime", recorded),
		imagev1.Images_Platforms_FullMethodName: read("runtime", unrecorded),

		storev1.Store_Read_FullMethodName:   withTable(read("store", unrecorded)),
		storev1.Store_List_FullMethodName:   withTable(read("store", unrecorded)),
		storev1.Store_Watch_FullMethodName:  withTable(read("store", unrecorded)),
		storev1.Store_Write_FullMethodName:  withTable(write("store", unrecorded)),
		storev1.Store_Delete_FullMethodName: withTable(write("store", unrecorded)),
		storev1.Store_Batch_FullMethodName:  withTable(write("store", unrecorded)),
		// Of many tables: the handlers ask about each.
		storev1.Store_Tables_FullMethodName:    read("store", unrecorded),
		storev1.Store_Databases_FullMethodName: read("store", unrecorded),
		storev1.Store_Export_FullMethodName:    withAnyTable(read("store", unrecorded)),
		storev1.Store_Import_FullMethodName:    write("store", unrecorded),

		storev1.Blobs_Read_FullMethodName:   withName(read("blob", unrecorded)),
		storev1.Blobs_Stat_FullMethodName:   withName(read("blob", unrecorded)),
		storev1.Blobs_List_FullMethodName:   read("blob", unrecorded),
		storev1.Blobs_Write_FullMethodName:  withName(write("blob", unrecorded)),
		storev1.Blobs_Delete_FullMethodName: withName(write("blob", unrecorded)),

		serverv1.Server_Backup_FullMethodName: {kind: operator, audit: recorded, platform: true},
		// The handlers ask about each thing that is moved.
		namespacev1.Transfer_Export_FullMethodName: write("namespace", recorded),
		namespacev1.Transfer_Import_FullMethodName: write("namespace", recorded),

		"/grpc.health.v1.Health/Check":                                   {kind: anybody, audit: unrecorded},
		"/grpc.health.v1.Health/List":                                    {kind: anybody, audit: unrecorded},
		"/grpc.health.v1.Health/Watch":                                   {kind: anybody, audit: unrecorded},
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {kind: ownCheck, audit: unrecorded},
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {kind: ownCheck, audit: unrecorded},
	}
}

// caller is who makes a call, and the namespace that it is about.
type caller struct {
	auth.Identity
	token     string // that has proven it; empty: none
	namespace string
	address   string // of the client; empty: unknown
	local     bool   // on this machine
}

func (c caller) client() auth.Client { return auth.Client{Address: c.address, Local: c.local} }

// checkOperator returns nil when the caller may change what all namespaces share.
func (c caller) checkOperator() error {
	switch {
	case c.ID == "":
		return auth.ErrAnonymous
	case c.Namespace != auth.DefaultNamespace || !slices.Contains(c.Scopes, auth.ScopeAdmin):
		return fmt.Errorf("what only an administrator of the namespace %q may: %w", auth.DefaultNamespace, auth.ErrDenied)
	}
	return nil
}

type callerKey struct{}

// callerOf returns who makes the call with the given context.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// guard authenticates the callers of the server's own methods and authorises them.
type guard struct {
	auth    *auth.Auth
	proxy   *proxy.Proxy
	methods map[string]access
	// recorder records the calls that methods says it of.
	recorder *recorder
	// life ends when the server begins to stop: who watches something would hold it
	// up.
	life context.Context //nolint:containedctx // that of the server
}

// errStopping ends the streams of a server that stops.
var errStopping = errors.New("the server is shutting down")

// admit adds the caller to the context of a call of one of the server's own
// methods. Calls that are forwarded are the proxy's to check. Who calls what is
// for anybody is nobody when the token is no good: it may have expired, and the
// call be the one that gets a new one.
func (g *guard) admit(ctx context.Context, a access) (context.Context, error) {
	c, err := g.identify(ctx)
	if a.kind == anybody {
		err = nil
	}
	if p, ok := peer.FromContext(ctx); ok {
		c.address = p.Addr.String()
		c.local = isLoopback(c.address)
	}
	return context.WithValue(ctx, callerKey{}, c), err
}

// identify returns who makes a call; nobody, in the namespace that is asked for, with
// an error.
func (g *guard) identify(ctx context.Context) (caller, error) {
	asked := received(ctx, proxy.KeyNamespace)
	token, err := bearer(received(ctx, "authorization"))
	if err != nil {
		return caller{namespace: asked}, err
	}
	id, ns, err := g.proxy.Identify(ctx, token, asked)
	if err != nil {
		return caller{namespace: asked}, err
	}
	return caller{Identity: id, token: token, namespace: ns}, nil
}

// check authorises a call once its request is known.
func (g *guard) check(ctx context.Context, method string, a access, req any) error {
	c := callerOf(ctx)
	switch a.kind {
	case anybody, ownCheck:
		return nil
	case anAccount:
		if c.ID == "" {
			return auth.ErrAnonymous
		}
		return nil
	case operator:
		return c.checkOperator()
	case byRule:
	}
	name := "*"
	if a.name != nil {
		name = a.name(req)
	}
	grpcService, m, err := proxy.SplitPath(method)
	if err != nil {
		return err
	}
	r := auth.Resource{Type: a.typ, Name: name, Endpoint: proxy.Endpoint(grpcService, m), Class: a.class}
	if a.writes != nil && a.writes(req) {
		r.Class = auth.Write
	}
	err = g.auth.Authorize(ctx, c.Identity, c.namespace, r)
	if err == nil && a.reveals != nil && a.reveals(req) {
		r.Endpoint, r.Class = proxy.Endpoint(grpcService, "Secrets"), auth.Secret
		err = g.auth.Authorize(ctx, c.Identity, c.namespace, r)
	}
	if errors.Is(err, auth.ErrNotFound) {
		err = auth.ErrAnonymous // a namespace that is not there looks like one that is closed
	}
	if err != nil {
		what := r.Endpoint
		if a.typ == "service" {
			what = "call " + name
		}
		return fmt.Errorf("%s in namespace %q: %w", what, c.namespace, err)
	}
	return nil
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	a, known := g.methods[info.FullMethod]
	if !known || a.audit == undecided {
		return nil, auth.ErrDenied
	}
	ctx, err := g.admit(ctx, a)
	if err == nil {
		err = g.check(ctx, info.FullMethod, a, req)
	}
	if a.records(req) {
		return g.recorder.unary(ctx, a, info.FullMethod, req, err, next)
	}
	if err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g *guard) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	a, known := g.methods[info.FullMethod]
	switch {
	case known && a.audit != undecided:
	case srv == nil: // of nobody here: forwarded
		return next(srv, s)
	default:
		return auth.ErrDenied
	}
	ctx, err := g.admit(s.Context(), a)
	if err != nil {
		if a.audit == recorded {
			_, err = g.recorder.begin(ctx, a, info.FullMethod, nil, err)
		}
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.life, func() { cancel(errStopping) })()
	var rec *recording
	err = next(srv, &checkedStream{ServerStream: s, ctx: ctx, check: func(req any) error {
		err := g.check(ctx, info.FullMethod, a, req)
		if a.records(req) {
			rec, err = g.recorder.begin(ctx, a, info.FullMethod, req, err)
		}
		if err == nil && a.kind != anybody {
			go func() { cancel(g.follow(ctx, info.FullMethod, a, req)) }()
		}
		return err
	}})
	// The handler knows no more than that its context has ended.
	if cause := context.Cause(ctx); cause != nil && s.Context().Err() == nil {
		err = cause
	}
	return rec.end(ctx, err)
}

// follow returns why a streaming call must not go on, as soon as that is so: it was
// authorised when it began. It returns when the call has ended, too.
func (g *guard) follow(ctx context.Context, method string, a access, req any) error {
	c := callerOf(ctx)
	rulesOf := ""
	if a.kind == byRule {
		rulesOf = c.namespace
	}
	return g.auth.Follow(ctx, c.token, rulesOf, func(ctx context.Context, id auth.Identity) error {
		c.Identity = id
		return g.check(context.WithValue(ctx, callerKey{}, c), method, a, req)
	})
}

// checkedStream authorises a streaming call by its first request. When its context
// has ended nothing goes in or out any more.
type checkedStream struct {
	grpc.ServerStream
	ctx     context.Context //nolint:containedctx // that of the call, which grpc.ServerStream hands out
	check   func(req any) error
	checked bool
}

func (s *checkedStream) Context() context.Context { return s.ctx }

func (s *checkedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if s.checked {
		return context.Cause(s.ctx)
	}
	s.checked = true
	return s.check(m)
}

func (s *checkedStream) SendMsg(m any) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// bearer returns the token of the authorization metadata key, whose value is v; empty
// when there is none.
func bearer(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	scheme, token, ok := strings.Cut(v, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", auth.ErrCredentials
	}
	return token, nil
}

// received returns what a call has under a metadata key, without a copy of all that
// it has; empty when there is nothing.
func received(ctx context.Context, key string) string {
	if v := metadata.ValueFromIncomingContext(ctx, key); len(v) > 0 {
		return v[0]
	}
	return ""
}

func first(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// isLoopback reports whether an address, as host:port, is one that only this
// machine can reach.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
