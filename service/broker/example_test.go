package broker_test

import (
	"context"
	"log"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/service/broker"
)

func Example() {
	var conn *grpc.ClientConn // to a server
	client := broker.New(conn)
	ctx := context.Background()
	go func() {
		err := client.Subscribe(ctx, "prices", func(_ context.Context, m *broker.Message) {
			log.Printf("%s in %s", m.Body, m.Header["currency"])
		}, broker.Dropped(func(n int64) { log.Printf("%d messages were missed", n) }))
		log.Print(err)
	}()
	m := &broker.Message{Header: map[string]string{"currency": "EUR"}, Body: []byte("17.30")}
	if err := client.Publish(ctx, "prices", m); err != nil {
		log.Fatal(err)
	}
}
