package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

// kept is a kind of thing that the server keeps under names, each with a value.
type kept interface {
	// limits says how many names one change may have, and for how long what was
	// acknowledged is kept; 0: for good.
	limits() (names int, lasts time.Duration)
	// put sets values. exists says which names have one.
	put(ctx context.Context, values map[string]string, exists func(name string) bool) error
	remove(ctx context.Context, name string) error
	// all returns every value of this witness.
	all(ctx context.Context) (map[string]string, error)
}

// valuesWitness is a witness of values under names.
type valuesWitness struct {
	kept  kept
	n     int                  // changes so far: no value is there twice
	acked map[string]string    // what there is
	at    map[string]time.Time // since when
	doubt map[string]string    // the change that was not answered; an empty value removes
}

func (w *valuesWitness) write(ctx context.Context, rnd *rand.Rand) error {
	w.n++
	most, _ := w.kept.limits()
	change := map[string]string{}
	if name := "n" + strconv.Itoa(rnd.IntN(8)); w.acked[name] != "" && rnd.IntN(4) == 0 {
		change[name] = ""
		w.doubt = change
		if err := w.kept.remove(ctx, name); err != nil {
			return err
		}
	} else {
		for range 1 + rnd.IntN(most) {
			change["n"+strconv.Itoa(rnd.IntN(8))] = "v" + strconv.Itoa(w.n)
		}
		w.doubt = change
		if err := w.kept.put(ctx, change, func(name string) bool { return w.acked[name] != "" }); err != nil {
			return err
		}
	}
	w.doubt = nil
	w.acked = changed(w.acked, change)
	for name := range change {
		w.at[name] = time.Now()
	}
	return nil
}

// changed returns values after a change of them.
func changed(values, change map[string]string) map[string]string {
	after := maps.Clone(values)
	maps.Copy(after, change)
	maps.DeleteFunc(after, func(_, v string) bool { return v == "" })
	return after
}

func (w *valuesWitness) check(ctx context.Context) error {
	got, err := w.kept.all(ctx)
	if err != nil {
		return err
	}
	if _, lasts := w.kept.limits(); lasts > 0 {
		for name := range w.acked {
			if got[name] == "" && time.Since(w.at[name]) > lasts {
				delete(w.acked, name) // the test took so long that it has ended
			}
		}
	}
	with := changed(w.acked, w.doubt)
	if !maps.Equal(got, w.acked) && !maps.Equal(got, with) {
		return fmt.Errorf("there is %v; acknowledged is %v, and under way was %v", got, w.acked, w.doubt)
	}
	w.acked, w.doubt = got, nil
	return nil
}

// topicWitness publishes events to a topic that others publish to as well.
type topicWitness struct {
	conn  *grpc.ClientConn
	name  string
	n     int
	acked []string // payloads, in order
	at    []int64  // their offsets; 0: not known
	doubt []string
}

func (w *topicWitness) write(ctx context.Context, rnd *rand.Rand) error {
	req := &eventsv1.PublishRequest{Topic: "log"}
	w.doubt = nil
	for range 1 + rnd.IntN(4) {
		w.n++
		w.doubt = append(w.doubt, w.name+" "+strconv.Itoa(w.n))
		req.Events = append(req.Events, &eventsv1.Event{Key: w.name, Payload: []byte(w.doubt[len(w.doubt)-1])})
	}
	rsp, err := eventsv1.NewEventsClient(w.conn).Publish(ctx, req)
	if err != nil {
		return err
	}
	for i, payload := range w.doubt {
		w.acked, w.at = append(w.acked, payload), append(w.at, rsp.GetOffset()+int64(i))
	}
	w.doubt = nil
	return nil
}

func (w *topicWitness) check(ctx context.Context) error {
	stream, err := eventsv1.NewEventsClient(w.conn).Read(ctx, &eventsv1.ReadRequest{Topic: "log"}, again)
	if err != nil {
		return err
	}
	var got []string
	var at []int64
	for next := int64(1); ; {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, e := range rsp.GetEvents() {
			if e.GetOffset() != next {
				return fmt.Errorf("offset %d comes after %d", e.GetOffset(), next-1)
			}
			next++
			if strings.HasPrefix(string(e.GetPayload()), w.name+" ") {
				got, at = append(got, string(e.GetPayload())), append(at, e.GetOffset())
			}
		}
	}
	if with := slices.Concat(w.acked, w.doubt); !slices.Equal(got, w.acked) && !slices.Equal(got, with) {
		return fmt.Errorf("the log has %d events up to %q; acknowledged are %d, and under way was %q", len(got), last(got), len(w.acked), w.doubt)
	}
	for i, offset := range w.at {
		if at[i] != offset {
			return fmt.Errorf("%q is at %d, and was acknowledged at %d", got[i], at[i], offset)
		}
	}
	w.acked, w.at, w.doubt = got, at, nil
	return nil
}

func last(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

// sessionWitness logs in, refreshes and logs out, as an account of its own. The session
// that it has goes on with the token that it was given last; one that it has ended does
// not come back.
type sessionWitness struct {
	conn    *grpc.ClientConn
	name    string
	made    bool
	current string    // the refresh token; empty: it is not logged in
	asked   time.Time // when it asked for the one after that and was not answered
	leaving bool      // what it asked for was to end the session
	family  []string  // all refresh tokens of the session
	ended   []string  // and of those that it has ended
}

// refreshGrace is how long the server takes the token before the current one: who was
// not answered has that to ask again.
const refreshGrace = 30 * time.Second

const witnessPassword = "correct horse"

// anonymous is a context for calls of nobody.
func anonymous(ctx context.Context) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.MD{})
}

func (w *sessionWitness) write(ctx context.Context, rnd *rand.Rand) error {
	api := authv1.NewAuthClient(w.conn)
	if !w.made {
		_, err := authv1.NewAccountsClient(w.conn).Create(ctx, &authv1.CreateAccountRequest{Id: w.name, Password: witnessPassword})
		if err != nil && status.Code(err) != codes.AlreadyExists {
			return err
		}
		w.made = true
		return nil
	}
	if w.current == "" {
		rsp, err := api.Login(anonymous(ctx), &authv1.LoginRequest{Namespace: "micro", Username: w.name, Password: witnessPassword})
		if err == nil {
			w.current = rsp.GetSession().GetRefreshToken()
			w.family = []string{w.current}
		}
		return err
	}
	w.asked, w.leaving = time.Now(), rnd.IntN(20) == 0
	if w.leaving {
		if _, err := api.Logout(anonymous(ctx), &authv1.LogoutRequest{RefreshToken: w.current}); err != nil {
			return err
		}
		w.end()
	} else {
		rsp, err := api.Refresh(anonymous(ctx), &authv1.RefreshRequest{RefreshToken: w.current})
		if err != nil {
			return err
		}
		w.goOn(rsp)
	}
	w.asked = time.Time{}
	return nil
}

func (w *sessionWitness) goOn(rsp *authv1.RefreshResponse) {
	w.current = rsp.GetSession().GetRefreshToken()
	w.family = append(w.family, w.current)
}

// end notes that the session has ended, and none of its tokens is good for anything.
func (w *sessionWitness) end() {
	w.ended, w.family, w.current = append(w.ended, w.family...), nil, ""
}

func (w *sessionWitness) check(ctx context.Context) error {
	if w.current != "" {
		if err := w.checkCurrent(ctx); err != nil {
			return err
		}
	}
	// The newest first: an old token of a session that does go on would end it.
	for _, token := range slices.Backward(w.ended) {
		_, err := authv1.NewAuthClient(w.conn).Refresh(anonymous(ctx), &authv1.RefreshRequest{RefreshToken: token}, again)
		if status.Code(err) != codes.Unauthenticated {
			return fmt.Errorf("a session that was ended goes on: %w", err)
		}
	}
	return nil
}

// checkCurrent goes on with the session.
func (w *sessionWitness) checkCurrent(ctx context.Context) error {
	api := authv1.NewAuthClient(w.conn)
	rsp, err := api.Refresh(anonymous(ctx), &authv1.RefreshRequest{RefreshToken: w.current}, again)
	unanswered := !w.asked.IsZero()
	late := unanswered && time.Since(w.asked) > refreshGrace
	w.asked = time.Time{}
	if status.Code(err) == codes.Unauthenticated && (late || unanswered && w.leaving) {
		w.end()
		return nil
	}
	if err == nil {
		w.goOn(rsp)
	}
	return err
}

// tokenWitness makes and revokes API tokens. The ones that it has are accepted, and the
// ones that it has revoked are not.
type tokenWitness struct {
	*site
	name    string
	n       int
	secrets map[string]string // of those that were made, by name
	revoked []string          // secrets
	doubt   string            // the name of one that was being made or revoked
}

func (w *tokenWitness) write(ctx context.Context, rnd *rand.Rand) error {
	api := authv1.NewTokensClient(w.conn)
	for name, secret := range w.secrets {
		if len(w.secrets) < 5 && rnd.IntN(2) == 0 {
			break
		}
		w.doubt = name
		if _, err := api.Delete(ctx, &authv1.DeleteTokenRequest{Name: name}); err != nil {
			return err
		}
		delete(w.secrets, name)
		w.revoked, w.doubt = append(w.revoked, secret), ""
		return nil
	}
	w.n++
	w.doubt = fmt.Sprintf("%s-%d", w.name, w.n)
	rsp, err := api.Create(ctx, &authv1.CreateTokenRequest{Name: w.doubt})
	if err != nil {
		return err
	}
	w.secrets[w.doubt], w.doubt = rsp.GetSecret(), ""
	return nil
}

// accepted reports whether the server takes an API token.
func (w *tokenWitness) accepted(ctx context.Context, secret string) (bool, error) {
	ctx = metadata.AppendToOutgoingContext(anonymous(ctx), "authorization", "Bearer "+secret)
	_, err := authv1.NewAuthClient(w.conn).WhoAmI(ctx, &authv1.WhoAmIRequest{}, again)
	if status.Code(err) == codes.Unauthenticated {
		return false, nil
	}
	return err == nil, err
}

func (w *tokenWitness) check(ctx context.Context) error {
	for name, secret := range w.secrets {
		ok, err := w.accepted(ctx, secret)
		if err != nil {
			return err
		}
		if !ok && name != w.doubt {
			return fmt.Errorf("the token %s is not accepted any more", name)
		}
		if !ok {
			delete(w.secrets, name)
			w.revoked = append(w.revoked, secret)
		}
	}
	for _, secret := range w.revoked {
		if ok, err := w.accepted(ctx, secret); ok || err != nil {
			return fmt.Errorf("a token that was revoked is accepted: %t, %w", ok, err)
		}
	}
	rsp, err := authv1.NewTokensClient(w.conn).List(ctx, &authv1.ListTokensRequest{PageSize: 1000}, again)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, t := range rsp.GetTokens() {
		if listed[t.GetName()] = true; w.secrets[t.GetName()] == "" && t.GetName() != w.doubt {
			return fmt.Errorf("there is a token %s", t.GetName())
		}
	}
	for name := range w.secrets {
		if !listed[name] {
			return fmt.Errorf("the token %s is not listed", name)
		}
	}
	if _, mine := w.secrets[w.doubt]; listed[w.doubt] && !mine { // it was made, and nobody knows its secret
		if _, err := authv1.NewTokensClient(w.conn).Delete(ctx, &authv1.DeleteTokenRequest{Name: w.doubt}); err != nil {
			return err
		}
	}
	w.doubt = ""
	return nil
}
