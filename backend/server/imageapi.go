package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/image/layout"
	images "github.com/micro/micro/v3/image/registry"
	imagev1 "github.com/micro/micro/v3/proto/micro/image/v1"
)

const (
	// minGrace is the shortest grace of a pruning that somebody asks for: so long
	// a release may take to be made of an image that is there.
	minGrace = time.Minute
	// pruneImagesEvery is how often the server prunes by itself.
	pruneImagesEvery = 30 * time.Minute
	// maxAttached bounds what is read of what is attached to an image.
	maxAttached = 16 << 20
)

// imageAPI answers micro.image.v1.Images.
type imageAPI struct {
	imagev1.UnimplementedImagesServer
	images *images.Registry
}

func (a *imageAPI) List(ctx context.Context, req *imagev1.ListRequest) (*imagev1.ListResponse, error) {
	list, size, err := a.images.List(ctx, callerOf(ctx).namespace)
	if err != nil {
		return nil, err
	}
	rsp := &imagev1.ListResponse{Size: size}
	for _, i := range list {
		if m := imageMessage(i); req.GetName() == "" || req.GetName() == m.GetName() {
			rsp.Images = append(rsp.Images, m)
		}
	}
	return rsp, nil
}

func imageMessage(i images.Listed) *imagev1.Image {
	_, name, _ := strings.Cut(i.Repository, "/")
	m := &imagev1.Image{
		Name: name, Digest: i.Digest, Tags: i.Tags, Pushed: timestamppb.New(i.Stored), InUse: i.InUse,
		Annotations: map[string]string{}, Attached: i.Attached, ArtifactType: i.ArtifactType,
	}
	for k, v := range i.Annotations {
		m.Annotations[strings.ToValidUTF8(k, "\uFFFD")] = strings.ToValidUTF8(v, "\uFFFD")
	}
	for _, p := range i.Platforms {
		m.Platforms = append(m.Platforms, &imagev1.Platform{Platform: strings.ToValidUTF8(p.Platform, "\uFFFD"), Digest: p.Digest, Size: p.Size})
	}
	return m
}

func (a *imageAPI) Get(ctx context.Context, req *imagev1.GetRequest) (*imagev1.GetResponse, error) {
	ns := callerOf(ctx).namespace
	ref, err := imageRef(ns, req.GetName(), cmp.Or(req.GetReference(), "latest"))
	if err != nil {
		return nil, err
	}
	found, err := a.images.Find(ctx, ref)
	if err != nil {
		return nil, aboutImage(ref, err)
	}
	rsp := &imagev1.GetResponse{Image: imageMessage(found)}
	if rsp.Sbom, err = a.attachment(ctx, found, layout.SBOMType); err != nil {
		return nil, aboutImage(ref, err)
	}
	if rsp.Record, err = a.attachment(ctx, found, layout.RecordType); err != nil {
		return nil, aboutImage(ref, err)
	}
	if log, err := layout.BuildLog(rsp.GetRecord()); err == nil {
		rsp.BuildLog = strings.ToValidUTF8(log, "\uFFFD")
	}
	return rsp, nil
}

// attachment returns what is attached to an image, or to that for the platform of this
// server, or to the first. Nothing is no error.
func (a *imageAPI) attachment(ctx context.Context, i images.Listed, kind string) ([]byte, error) {
	digests := []string{i.Digest}
	for _, p := range i.Platforms {
		if p.Platform == platform() {
			digests = append(digests, p.Digest)
		}
	}
	if len(i.Platforms) > 0 {
		digests = append(digests, i.Platforms[0].Digest)
	}
	for _, d := range digests {
		data, err := a.images.Attachment(ctx, i.Repository+"@"+d, kind, maxAttached)
		if !errors.Is(err, images.ErrNotFound) {
			return data, err
		}
	}
	return nil, nil
}

func (a *imageAPI) Delete(ctx context.Context, req *imagev1.DeleteRequest) (*imagev1.DeleteResponse, error) {
	ref, err := imageRef(callerOf(ctx).namespace, req.GetName(), req.GetReference())
	if err != nil {
		return nil, err
	}
	if err := a.images.Remove(ctx, ref); err != nil {
		return nil, aboutImage(ref, err)
	}
	return &imagev1.DeleteResponse{}, nil
}

func (a *imageAPI) Prune(ctx context.Context, req *imagev1.PruneRequest) (*imagev1.PruneResponse, error) {
	grace := images.Grace
	if req.GetGrace() != nil {
		if grace = req.GetGrace().AsDuration(); grace < minGrace {
			return nil, invalid("a grace of %s; at least %s is needed, for what is on its way", grace, minGrace)
		}
	}
	swept, err := a.images.Prune(ctx, callerOf(ctx).namespace, grace, req.GetDryRun())
	if err != nil {
		return nil, err
	}
	return &imagev1.PruneResponse{
		Manifests: int32(swept.Manifests), Blobs: int32(swept.Blobs), Size: swept.Bytes, Young: int32(swept.Young),
	}, nil
}

func (a *imageAPI) Platforms(context.Context, *imagev1.PlatformsRequest) (*imagev1.PlatformsResponse, error) {
	return &imagev1.PlatformsResponse{Platforms: []string{platform()}}, nil
}

// imageRef returns the reference of an image, or the name of the repository when
// reference is empty.
func imageRef(ns, name, reference string) (string, error) {
	repository := ns + "/" + name
	if reference == "" {
		return repository, nil
	}
	ref := repository + ":" + reference
	if _, err := layout.ParseDigest(reference); err == nil {
		ref = repository + "@" + reference
	}
	if err := images.CheckReference(ref); err != nil {
		return "", invalid("%q of %q names no image: want a tag or sha256:HEX", reference, name)
	}
	return ref, nil
}

// aboutImage says which image an error is about, as its owner knows it.
func aboutImage(ref string, err error) error {
	_, name, _ := strings.Cut(ref, "/")
	switch {
	case errors.Is(err, images.ErrNotFound):
		return fmt.Errorf("image %s: %w", name, images.ErrNotFound)
	case errors.Is(err, images.ErrInUse):
		return fmt.Errorf("image %s: %w", name, images.ErrInUse)
	default:
		return err
	}
}

// pruneImages gives back the space of images that nothing needs, until ctx ends.
func (s *Server) pruneImages(ctx context.Context) {
	tick := time.NewTicker(pruneImagesEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		swept, err := s.images.Prune(ctx, "", images.Grace, false)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.config.Logger.Error("images that nothing needs could not be removed", "err", err)
		case swept.Blobs > 0:
			s.config.Logger.Info("images that nothing needs were removed", "images", swept.Manifests, "bytes", swept.Bytes)
		}
	}
}
