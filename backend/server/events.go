package server

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/events"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

// eventsAPI answers micro.events.v1.Events.
type eventsAPI struct {
	eventsv1.UnimplementedEventsServer
	events events.Engine
}

// topicOf returns a topic of the caller's namespace.
func topicOf(ctx context.Context, name string) events.Topic {
	return events.Topic{Namespace: callerOf(ctx).namespace, Name: name}
}

func (e *eventsAPI) Publish(ctx context.Context, req *eventsv1.PublishRequest) (*eventsv1.PublishResponse, error) {
	first, err := e.events.Append(ctx, topicOf(ctx, req.GetTopic()), eventsFrom(req.GetEvents()))
	if err != nil {
		return nil, err
	}
	return &eventsv1.PublishResponse{Offset: first}, nil
}

// eventsFrom returns events as they are to be published.
func eventsFrom(in []*eventsv1.Event) []events.Event {
	list := make([]events.Event, 0, len(in))
	for _, e := range in {
		list = append(list, events.Event{Key: e.GetKey(), Metadata: e.GetMetadata(), Payload: e.GetPayload()})
	}
	return list
}

func (e *eventsAPI) Read(req *eventsv1.ReadRequest, out grpc.ServerStreamingServer[eventsv1.ReadResponse]) error {
	ctx := out.Context()
	t := topicOf(ctx, req.GetTopic())
	if err := t.Check(); err != nil {
		return err
	}
	if req.GetOffset() < 0 || req.GetLimit() < 0 || req.GetLast() < 0 {
		return invalid("an offset or number below zero")
	}
	info, err := e.topic(ctx, t, req.GetFollow())
	if err != nil {
		return err
	}
	from, end, left := req.GetOffset(), info.Next, req.GetLimit()
	if req.GetLast() > 0 {
		from = max(from, info.Next-req.GetLast())
	}
	if req.GetLatest() {
		from = max(from, info.Next)
		if err := out.Send(&eventsv1.ReadResponse{NextOffset: from}); err != nil {
			return err
		}
	}
	for from < end || req.GetFollow() {
		r := events.Range{From: from, Since: timeOf(req.GetSince()), Wait: req.GetFollow()}
		if left > 0 {
			r.Limit = int(min(left, events.MaxRead))
		}
		list, err := e.events.Read(ctx, t, r)
		if err != nil {
			return err
		}
		if !req.GetFollow() {
			list = slices.DeleteFunc(list, func(e events.Event) bool { return e.Offset >= end })
		}
		if len(list) == 0 {
			return nil // what was there is gone
		}
		from = list[len(list)-1].Offset + 1
		rsp := &eventsv1.ReadResponse{Events: eventMessages(list)}
		if err := out.Send(rsp); err != nil {
			return err
		}
		if left > 0 {
			if left -= int64(len(rsp.GetEvents())); left == 0 {
				return nil
			}
		}
	}
	return nil
}

// topic returns what is known of a topic; of one that is not there, but may be, that
// it is empty.
func (e *eventsAPI) topic(ctx context.Context, t events.Topic, mayLack bool) (events.TopicInfo, error) {
	list, err := e.events.Topics(ctx, t.Namespace, events.List{Name: t.Name})
	if err != nil {
		return events.TopicInfo{}, err
	}
	if len(list) > 0 {
		return list[0], nil
	}
	if mayLack {
		return events.TopicInfo{Name: t.Name, Oldest: 1, Next: 1}, nil
	}
	return events.TopicInfo{}, fmt.Errorf("the topic %q of namespace %q: %w", t.Name, t.Namespace, events.ErrNotFound)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// eventMessages returns events as they are sent, with few allocations: there may be
// millions.
func eventMessages(list []events.Event) []*eventsv1.Event {
	type both struct {
		event eventsv1.Event
		time  timestamppb.Timestamp
	}
	all := make([]both, len(list))
	out := make([]*eventsv1.Event, len(list))
	for i := range list {
		e, m := &list[i], &all[i]
		m.time.Seconds, m.time.Nanos = e.Time.Unix(), int32(e.Time.Nanosecond())
		m.event.Offset, m.event.Time, m.event.Key, m.event.Metadata, m.event.Payload = e.Offset, &m.time, e.Key, e.Metadata, e.Payload
		out[i] = &m.event
	}
	return out
}

func (e *eventsAPI) ListTopics(ctx context.Context, req *eventsv1.ListTopicsRequest) (*eventsv1.ListTopicsResponse, error) {
	ns := callerOf(ctx).namespace
	page, err := listingOf(req, ns)
	if err != nil {
		return nil, err
	}
	list, err := e.events.Topics(ctx, ns, events.List{After: page.after, Limit: page.size})
	if err != nil {
		return nil, err
	}
	rsp := &eventsv1.ListTopicsResponse{}
	for _, t := range list {
		rsp.Topics = append(rsp.Topics, &eventsv1.Topic{
			Name:         t.Name,
			OldestOffset: t.Oldest,
			NextOffset:   t.Next,
			Bytes:        t.Bytes,
			Retention:    retention(t.Retention),
		})
	}
	if len(list) == page.size {
		rsp.NextPageToken = page.next(list[page.size-1].Name)
	}
	return rsp, nil
}

func retention(r events.Retention) *eventsv1.Retention {
	out := &eventsv1.Retention{Bytes: r.Bytes, Events: r.Events}
	if r.Age > 0 {
		out.Age = durationpb.New(r.Age)
	}
	return out
}

func (e *eventsAPI) SetRetention(ctx context.Context, req *eventsv1.SetRetentionRequest) (*eventsv1.SetRetentionResponse, error) {
	in := req.GetRetention()
	if in == nil {
		return nil, invalid("no retention")
	}
	r := events.Retention{Bytes: in.GetBytes(), Events: in.GetEvents()}
	if in.GetAge() != nil {
		if r.Age = in.GetAge().AsDuration(); r.Age <= 0 {
			return nil, invalid("an age of %v, which is not above zero", r.Age)
		}
	}
	return &eventsv1.SetRetentionResponse{}, e.events.SetRetention(ctx, topicOf(ctx, req.GetTopic()), r)
}

func (e *eventsAPI) DeleteTopic(ctx context.Context, req *eventsv1.DeleteTopicRequest) (*eventsv1.DeleteTopicResponse, error) {
	return &eventsv1.DeleteTopicResponse{}, e.events.Delete(ctx, topicOf(ctx, req.GetTopic()))
}

func (e *eventsAPI) ListGroups(ctx context.Context, req *eventsv1.ListGroupsRequest) (*eventsv1.ListGroupsResponse, error) {
	topic := topicOf(ctx, req.GetTopic())
	page, err := listingOf(req, topic.Namespace, topic.Name)
	if err != nil {
		return nil, err
	}
	list, err := e.events.Groups(ctx, topic, events.List{After: page.after, Limit: page.size})
	if err != nil {
		return nil, err
	}
	rsp := &eventsv1.ListGroupsResponse{}
	for _, g := range list {
		rsp.Groups = append(rsp.Groups, &eventsv1.Group{Name: g.Name, CommittedOffset: g.Committed, Pending: g.Pending, Lag: g.Lag})
	}
	if len(list) == page.size {
		rsp.NextPageToken = page.next(list[page.size-1].Name)
	}
	return rsp, nil
}

func (e *eventsAPI) DeleteGroup(ctx context.Context, req *eventsv1.DeleteGroupRequest) (*eventsv1.DeleteGroupResponse, error) {
	g := events.Group{Topic: topicOf(ctx, req.GetTopic()), Name: req.GetGroup()}
	return &eventsv1.DeleteGroupResponse{}, e.events.DeleteGroup(ctx, g)
}

// backoff returns how long to wait before the delivery after so many.
func backoff(attempt int) time.Duration {
	return min(time.Duration(math.Pow(2, float64(min(attempt, 30)-1)))*time.Second, time.Minute)
}
