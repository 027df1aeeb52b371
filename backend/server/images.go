package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/image/layout"
	images "github.com/micro/micro/v3/image/registry"
)

// tokenUser is the name to log in to the image registry with when the password is
// an access token.
const tokenUser = "token"

// authorizeImages decides what a request to /v2/ may do. A repository is
// NAMESPACE/SERVICE; who may change services may push, who may look may pull.
func (s *Server) authorizeImages(ctx context.Context, r *http.Request, repository string, action images.Action) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return images.ErrUnauthenticated
	}
	caller, err := s.auth.Verify(ctx, token)
	if err != nil {
		return fmt.Errorf("%w: %w", images.ErrUnauthenticated, err)
	}
	if repository == "" {
		return nil
	}
	ns, name, _ := strings.Cut(repository, "/")
	res := auth.Resource{Type: "runtime", Name: name, Endpoint: "Runtime.Apply", Class: auth.Write}
	if action == images.Pull {
		res.Endpoint, res.Class = "Runtime.Get", auth.Read
	}
	err = s.auth.Authorize(ctx, caller, ns, res)
	if what := changes(r, action); what != "" && (err == nil || isRefusal(err)) {
		err = s.recorder.image(ctx, callerFrom(r, caller, ns), what, repository, err)
	}
	switch {
	case isRefusal(err):
		return images.ErrDenied
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("%w: %w", images.ErrFull, err)
	}
	return err
}

// callerFrom returns who makes an HTTP request about a namespace.
func callerFrom(r *http.Request, id auth.Identity, ns string) caller {
	return caller{Identity: id, namespace: ns, address: r.RemoteAddr, local: isLoopback(r.RemoteAddr)}
}

// challenge tells a client of /v2/ where it gets a token.
func challenge(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return fmt.Sprintf(`Bearer realm="%s://%s/v2/token",service="micro"`, scheme, r.Host)
}

// imageToken answers GET /v2/token: it exchanges the password of `podman login`
// for an access token, as the token authentication of the distribution project
// describes. The account is ACCOUNT or NAMESPACE/ACCOUNT; without a namespace it
// is that of the repository that the client asks for.
func (s *Server) imageToken(w http.ResponseWriter, r *http.Request) {
	token, err := s.exchangePassword(r)
	if many, ok := errors.AsType[*auth.TooManyError](err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(many.Retry/time.Second)))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"too many wrong passwords"}]}`+"\n")
		return
	}
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="micro"`)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong username or password"}]}`+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token, "access_token": token}) // the client is gone
}

func (s *Server) exchangePassword(r *http.Request) (string, error) {
	user, password, ok := r.BasicAuth()
	if !ok || password == "" {
		return "", auth.ErrAnonymous
	}
	// A token says by itself who it is for; people put all sorts of names beside it.
	if _, err := s.auth.Verify(r.Context(), password); err == nil || user == tokenUser {
		return password, err
	}
	ns, account, found := strings.Cut(user, "/")
	if !found {
		ns, account = auth.DefaultNamespace, user
		if scope := strings.Split(r.URL.Query().Get("scope"), ":"); len(scope) == 3 {
			ns, _, _ = strings.Cut(scope[1], "/")
		}
	}
	c := callerFrom(r, auth.Identity{}, ns)
	session, err := s.auth.Login(r.Context(), ns, account, password, c.client())
	return session.Access, s.recorder.login(r.Context(), c, ns, account, err)
}

// platform is what services run on here.
func platform() string { return goruntime.GOOS + "/" + goruntime.GOARCH }

// hasImage returns an error when the server does not keep an image, or it is for
// another platform. An image that it keeps stays for a while.
func (s *Server) hasImage(ctx context.Context, ref string) error {
	if err := s.images.Exists(ctx, ref); err != nil {
		return fmt.Errorf("%s: %w", ref, errNoImage)
	}
	in, err := s.images.Image(ctx, ref, platform())
	if errors.Is(err, images.ErrPlatform) || err == nil && in.OS != "" && (in.OS != goruntime.GOOS || in.Architecture != goruntime.GOARCH) {
		return fmt.Errorf("%s: %w, which runs %s", ref, errPlatform, platform())
	}
	return err
}

// imagesNeeded returns the images that a namespace needs.
func (s *Server) imagesNeeded(ctx context.Context, ns string) ([]string, error) {
	return s.deployer.Images(ctx, ns)
}

// openImage gives an image to the runtime.
func (s *Server) openImage(ctx context.Context, ref string) (*runtime.Image, error) {
	in, err := s.images.Image(ctx, ref, platform())
	switch {
	case errors.Is(err, images.ErrNotFound):
		return nil, fmt.Errorf("%w: image %s", runtime.ErrNotFound, ref)
	case errors.Is(err, images.ErrPlatform):
		return nil, fmt.Errorf("%w: it is not for %s", runtime.ErrImage, platform())
	case err != nil:
		return nil, err
	}
	out := &runtime.Image{
		OS:           in.OS,
		Architecture: in.Architecture,
		Entrypoint:   in.Entrypoint,
		Cmd:          in.Cmd,
		Env:          in.Env,
		WorkingDir:   in.WorkingDir,
	}
	for _, l := range in.Layers {
		out.Layers = append(out.Layers, l.Open)
	}
	return out, nil
}

// imageSchema returns the schema that the build of an image has recorded: of the whole,
// or of the part of it that runs here.
func (s *Server) imageSchema(ctx context.Context, ref string) ([]byte, error) {
	schema, err := s.images.Attachment(ctx, ref, layout.SchemaType, dynamic.MaxSchema)
	if !errors.Is(err, images.ErrNotFound) {
		return schema, err
	}
	in, err := s.images.Image(ctx, ref, platform())
	if err != nil {
		return nil, err
	}
	repository, _, _ := strings.Cut(ref, "@")
	return s.images.Attachment(ctx, repository+"@"+in.Digest, layout.SchemaType, dynamic.MaxSchema)
}
