package server

import (
	"context"

	"google.golang.org/grpc"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

func (e *eventsAPI) Broadcast(ctx context.Context, req *eventsv1.BroadcastRequest) (*eventsv1.BroadcastResponse, error) {
	return &eventsv1.BroadcastResponse{}, e.events.Broadcast(ctx, topicOf(ctx, req.GetTopic()), eventsFrom(req.GetEvents()))
}

func (e *eventsAPI) Subscribe(req *eventsv1.SubscribeRequest, out grpc.ServerStreamingServer[eventsv1.SubscribeResponse]) error {
	ctx := out.Context()
	heard, err := e.events.Subscribe(ctx, topicOf(ctx, req.GetTopic()), req.GetQueue())
	if err != nil {
		return err
	}
	if err := out.Send(&eventsv1.SubscribeResponse{}); err != nil {
		return err
	}
	for h, err := range heard {
		if err != nil {
			return err
		}
		if err := out.Send(&eventsv1.SubscribeResponse{Dropped: h.Dropped, Events: eventMessages(h.Events)}); err != nil {
			return err
		}
	}
	return nil
}
