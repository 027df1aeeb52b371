package events_test

import (
	"context"
	"log"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/service/events"
)

// Order is what is published in these examples.
type Order struct {
	ID       int
	Customer string
}

func Example() {
	if err := events.Publish("orders", Order{ID: 17}); err != nil {
		log.Fatal(err)
	}
	orders, err := events.Consume("orders", events.WithGroup("billing"))
	if err != nil {
		log.Fatal(err)
	}
	for e := range orders {
		var o Order
		if err := e.Unmarshal(&o); err != nil {
			log.Print(err)
			continue
		}
		log.Printf("order %d of %s", o.ID, e.Timestamp)
	}
}

func ExampleConsume_manual() {
	orders, err := events.Consume("orders", events.WithGroup("billing"), events.WithAutoAck(false, time.Minute), events.WithRetryLimit(3))
	if err != nil {
		log.Fatal(err)
	}
	for e := range orders {
		var o Order
		if err := e.Unmarshal(&o); err != nil {
			_ = e.Nack() // after three more times it goes to orders.dead
			continue
		}
		_ = e.Ack()
	}
}

func ExampleClient_Consume() {
	var conn *grpc.ClientConn // to a server
	err := events.New(conn).Consume(context.Background(), "orders", func(_ context.Context, e *events.Event) error {
		var o Order
		return e.Unmarshal(&o) // what is returned decides whether it is delivered again
	}, events.WithGroup("billing"))
	log.Print(err)
}
