package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// one returns the name and the value of a change of one value.
func one(values map[string]string) (name, value string) {
	for name, value = range values {
	}
	return name, value
}

// keptRecords are records of a table, written one by one and in batches.
type keptRecords struct {
	conn  *grpc.ClientConn
	table string
}

func (keptRecords) limits() (int, time.Duration) { return 3, 0 }

func (k keptRecords) put(ctx context.Context, values map[string]string, _ func(string) bool) error {
	api := storev1.NewStoreClient(k.conn)
	if len(values) == 1 {
		name, value := one(values)
		_, err := api.Write(ctx, &storev1.WriteRequest{Table: k.table, Record: &storev1.Record{Key: []byte(name), Value: []byte(value)}})
		return err
	}
	req := &storev1.BatchRequest{Table: k.table}
	for name, value := range values {
		put := &storev1.Put{Record: &storev1.Record{Key: []byte(name), Value: []byte(value)}}
		req.Operations = append(req.Operations, &storev1.Operation{Kind: &storev1.Operation_Put{Put: put}})
	}
	_, err := api.Batch(ctx, req)
	return err
}

func (k keptRecords) remove(ctx context.Context, name string) error {
	_, err := storev1.NewStoreClient(k.conn).Delete(ctx, &storev1.DeleteRequest{Table: k.table, Key: []byte(name)})
	return err
}

func (k keptRecords) all(ctx context.Context) (map[string]string, error) {
	rsp, err := storev1.NewStoreClient(k.conn).Read(ctx, &storev1.ReadRequest{Table: k.table}, again)
	all := map[string]string{}
	for _, r := range rsp.GetRecords() {
		all[string(r.GetKey())] = string(r.GetValue())
	}
	return all, err
}

// keptBlobs are blobs with content that follows from the value, of up to some parts.
type keptBlobs struct {
	conn   *grpc.ClientConn
	prefix string
}

func (keptBlobs) limits() (int, time.Duration) { return 1, 0 }

// content returns the content for a value, which it begins with.
func content(value string) []byte {
	h := fnv.New64a()
	_, _ = io.WriteString(h, value) // never fails
	rnd := rand.New(rand.NewPCG(h.Sum64(), 0))
	b := []byte(value + "\n")
	for range rnd.IntN(1 << rnd.IntN(18)) {
		v := rnd.Uint64()
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32))
	}
	return b
}

func (k keptBlobs) put(ctx context.Context, values map[string]string, _ func(string) bool) error {
	name, value := one(values)
	stream, err := storev1.NewBlobsClient(k.conn).Write(ctx)
	if err != nil {
		return err
	}
	data := content(value)
	req := &storev1.WriteBlobRequest{Name: k.prefix + name}
	for part := range slices.Chunk(data, 100_000) {
		req.Data = part
		if err = stream.Send(req); err != nil {
			break // the answer says more
		}
		req = &storev1.WriteBlobRequest{}
	}
	if err == nil {
		_ = stream.Send(&storev1.WriteBlobRequest{Complete: true, Size: int64(len(data))}) // the answer says more
	}
	_, err = stream.CloseAndRecv()
	return err
}

func (k keptBlobs) remove(ctx context.Context, name string) error {
	_, err := storev1.NewBlobsClient(k.conn).Delete(ctx, &storev1.DeleteBlobRequest{Name: k.prefix + name})
	return err
}

func (k keptBlobs) all(ctx context.Context) (map[string]string, error) {
	api := storev1.NewBlobsClient(k.conn)
	rsp, err := api.List(ctx, &storev1.ListBlobsRequest{Prefix: k.prefix}, again)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, b := range rsp.GetBlobs() {
		stream, err := api.Read(ctx, &storev1.ReadBlobRequest{Name: b.GetName()})
		if err != nil {
			return nil, err
		}
		var data []byte
		for complete := false; !complete; {
			part, err := stream.Recv()
			if err != nil {
				return nil, fmt.Errorf("blob %s: %w", b.GetName(), err)
			}
			data, complete = append(data, part.GetData()...), part.GetComplete()
		}
		value, _, _ := strings.Cut(string(data), "\n")
		if string(data) != string(content(value)) {
			return nil, fmt.Errorf("blob %s has content that nobody wrote", b.GetName())
		}
		all[strings.TrimPrefix(b.GetName(), k.prefix)] = value
	}
	return all, nil
}

// keptConfig is a part of the configuration; half of the values are secret.
type keptConfig struct {
	conn *grpc.ClientConn
	path string
}

func (keptConfig) limits() (int, time.Duration) { return 3, 0 }

func (k keptConfig) put(ctx context.Context, values map[string]string, _ func(string) bool) error {
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	_, err = configv1.NewConfigClient(k.conn).Set(ctx, &configv1.SetRequest{
		Path: k.path, Json: string(text), Merge: true, Secret: len(values) == 1,
	})
	return err
}

func (k keptConfig) remove(ctx context.Context, name string) error {
	_, err := configv1.NewConfigClient(k.conn).Delete(ctx, &configv1.DeleteRequest{Path: k.path + "." + name})
	return err
}

func (k keptConfig) all(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	rsp, err := configv1.NewConfigClient(k.conn).Get(ctx, &configv1.GetRequest{Path: k.path, Secrets: true}, again)
	if status.Code(err) == codes.NotFound {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal([]byte(rsp.GetJson()), &all)
}

// keptAccounts are accounts of services, with the value in their metadata.
type keptAccounts struct {
	conn   *grpc.ClientConn
	prefix string
}

func (keptAccounts) limits() (int, time.Duration) { return 1, 0 }

func (k keptAccounts) put(ctx context.Context, values map[string]string, exists func(string) bool) error {
	api := authv1.NewAccountsClient(k.conn)
	name, value := one(values)
	var err error
	if meta := map[string]string{"value": value}; exists(name) {
		_, err = api.Update(ctx, &authv1.UpdateAccountRequest{Id: k.prefix + name, Metadata: meta})
	} else {
		_, err = api.Create(ctx, &authv1.CreateAccountRequest{Id: k.prefix + name, Type: authv1.AccountType_ACCOUNT_TYPE_SERVICE, Metadata: meta})
	}
	return err
}

func (k keptAccounts) remove(ctx context.Context, name string) error {
	_, err := authv1.NewAccountsClient(k.conn).Delete(ctx, &authv1.DeleteAccountRequest{Id: k.prefix + name})
	return err
}

func (k keptAccounts) all(ctx context.Context) (map[string]string, error) {
	rsp, err := authv1.NewAccountsClient(k.conn).List(ctx, &authv1.ListAccountsRequest{PageSize: 1000}, again)
	all := map[string]string{}
	for _, a := range rsp.GetAccounts() {
		if name, mine := strings.CutPrefix(a.GetId(), k.prefix); mine {
			all[name] = a.GetMetadata()["value"]
		}
	}
	return all, err
}

// keptRules are rules that grant something to a scope that nobody has: the value.
type keptRules struct {
	conn   *grpc.ClientConn
	prefix string
}

func (keptRules) limits() (int, time.Duration) { return 1, 0 }

func (k keptRules) put(ctx context.Context, values map[string]string, exists func(string) bool) error {
	api := authv1.NewRulesClient(k.conn)
	name, value := one(values)
	var err error
	if exists(name) {
		_, err = api.Update(ctx, &authv1.UpdateRuleRequest{Id: k.prefix + name, Scope: &value})
	} else {
		_, err = api.Create(ctx, &authv1.CreateRuleRequest{Rule: &authv1.Rule{
			Id: k.prefix + name, Scope: value, Resource: "service:nothing:*", Access: authv1.Access_ACCESS_GRANTED,
		}})
	}
	return err
}

func (k keptRules) remove(ctx context.Context, name string) error {
	_, err := authv1.NewRulesClient(k.conn).Delete(ctx, &authv1.DeleteRuleRequest{Id: k.prefix + name})
	return err
}

func (k keptRules) all(ctx context.Context) (map[string]string, error) {
	rsp, err := authv1.NewRulesClient(k.conn).List(ctx, &authv1.ListRulesRequest{}, again)
	all := map[string]string{}
	for _, r := range rsp.GetRules() {
		if name, mine := strings.CutPrefix(r.GetId(), k.prefix); mine {
			all[name] = r.GetScope()
		}
	}
	return all, err
}

// keptLeases are instances of a service that run elsewhere, with the value as version.
type keptLeases struct {
	conn    *grpc.ClientConn
	service string
}

// The longest lease is of five minutes.
func (keptLeases) limits() (int, time.Duration) { return 1, 4 * time.Minute }

func (k keptLeases) put(ctx context.Context, values map[string]string, _ func(string) bool) error {
	name, value := one(values)
	// Nobody listens there to be asked what it speaks.
	schema, err := proto.Marshal(&descriptorpb.FileDescriptorSet{
		File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(healthv1.File_grpc_health_v1_health_proto)},
	})
	if err != nil {
		return err
	}
	_, err = registryv1.NewRegistryClient(k.conn).Register(ctx, &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{Id: k.service + "-" + name, Service: k.service, Version: value, Address: "127.0.0.1:1"},
		Lease:    durationpb.New(5 * time.Minute), Schema: schema,
	})
	return err
}

func (k keptLeases) remove(ctx context.Context, name string) error {
	_, err := registryv1.NewRegistryClient(k.conn).Deregister(ctx, &registryv1.DeregisterRequest{Service: k.service, Id: k.service + "-" + name})
	return err
}

func (k keptLeases) all(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	rsp, err := registryv1.NewRegistryClient(k.conn).Get(ctx, &registryv1.GetRequest{Name: k.service}, again)
	if status.Code(err) == codes.NotFound {
		return all, nil
	}
	for _, in := range rsp.GetService().GetInstances() {
		all[strings.TrimPrefix(in.GetId(), k.service+"-")] = in.GetVersion()
		if left := time.Until(in.GetLeaseExpires().AsTime()); left > 6*time.Minute {
			err = errors.Join(err, fmt.Errorf("the lease of %s lasts %s", in.GetId(), left))
		}
	}
	return all, err
}
