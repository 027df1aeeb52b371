package service

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/micro/micro/v3/service/broker"
	"github.com/micro/micro/v3/service/client"
	"github.com/micro/micro/v3/service/server"
)

// Event publishes messages to a topic; see [NewEvent].
type Event struct{ topic string }

// NewEvent returns what publishes to a topic, to whoever is subscribed at that moment. What
// must not be lost is published by package events.
func NewEvent(topic string) *Event { return &Event{topic} }

// Publish publishes a message, as [client.Client] does.
func (e *Event) Publish(ctx context.Context, msg any) error {
	return client.Publish(ctx, client.NewMessage(e.topic, msg))
}

// Subscribe makes v get what is published to a topic while the service runs, as package
// broker describes. It is a function of one of these forms, or a struct all of whose
// methods that have one of them get each message:
//
//	func(ctx context.Context, msg *Msg) error
//	func(msg *Msg) error
//
// Msg is a message that was generated from a .proto file, or anything else that the JSON
// of the message fits; a *broker.Message is the message as it came, and a []byte its body.
// The messages of a topic come one at a time and in order, to every instance of the service
// unless [server.SubscriberQueue] says that they are shared. An error is logged, and so is a
// panic; nobody gets the message again.
//
// What is wrong with v is returned by [Service.Run] as well. Subscribe fails when the
// service has been started.
func (s *Service) Subscribe(topic string, v any, opts ...server.SubscriberOption) error {
	sub, err := newSubscriber(server.NewSubscriber(topic, v, opts...))
	if err != nil {
		err = fmt.Errorf("subscribe to %q: %w", topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != created {
		return fmt.Errorf("subscribe to %q: the service is %s", topic, s.state)
	}
	if err != nil {
		s.handlers = append(s.handlers, err)
		return err
	}
	s.inbox.subscribers = append(s.inbox.subscribers, sub)
	return nil
}

// Subscribe is [Service.Subscribe] of the service that [Handle] is for.
func Subscribe(topic string, v any, opts ...server.SubscriberOption) error {
	return unmade().Subscribe(topic, v, opts...)
}

func (r registrar) Subscribe(sub server.Subscriber) error {
	o := sub.Options()
	return r.s.Subscribe(sub.Topic(), sub.Subscriber(), func(to *server.SubscriberOptions) { *to = o })
}

func (registrar) NewSubscriber(topic string, v any, opts ...server.SubscriberOption) server.Subscriber {
	return server.NewSubscriber(topic, v, opts...)
}

// subscriber is what gets the messages of a topic.
type subscriber struct {
	topic     string
	queue     string
	receivers []receiver
}

// receiver is a function that gets messages.
type receiver struct {
	f       reflect.Value
	takes   reflect.Type
	context bool // it takes one
}

var (
	rawType   = reflect.TypeFor[*broker.Message]()
	bytesType = reflect.TypeFor[[]byte]()
)

func newSubscriber(from server.Subscriber) (*subscriber, error) {
	sub := &subscriber{topic: from.Topic(), queue: from.Options().Queue}
	v := reflect.ValueOf(from.Subscriber())
	switch {
	case !v.IsValid() || (v.Kind() == reflect.Func || v.Kind() == reflect.Pointer) && v.IsNil():
		return nil, errors.New("it is nil; pass a function, or a struct, as in new(T)")
	case v.Kind() == reflect.Func:
		r, ok := newReceiver(v)
		if !ok {
			return nil, fmt.Errorf("it is a %T and should be a func(context.Context, *Msg) error", from.Subscriber())
		}
		sub.receivers = []receiver{r}
	default:
		for _, m := range v.Methods() {
			if r, ok := newReceiver(m); ok {
				sub.receivers = append(sub.receivers, r)
			}
		}
	}
	if len(sub.receivers) == 0 {
		return nil, fmt.Errorf("%s has no method that takes a message, as M(context.Context, *Msg) error would", typeName(from.Subscriber()))
	}
	return sub, nil
}

func newReceiver(f reflect.Value) (receiver, bool) {
	t := f.Type()
	n := t.NumIn()
	if t.IsVariadic() || n < 1 || n > 2 || t.NumOut() != 1 || t.Out(0) != errorType {
		return receiver{}, false
	}
	r := receiver{f: f, takes: t.In(n - 1), context: n == 2}
	return r, r.takes != contextType && (!r.context || t.In(0) == contextType)
}

// payload returns a message as the receiver takes it.
func (r receiver) payload(m *broker.Message) (any, error) {
	switch {
	case r.takes == rawType:
		return m, nil
	case r.takes == bytesType:
		return m.Body, nil
	case r.takes.Kind() == reflect.Pointer:
		v := reflect.New(r.takes.Elem())
		return v.Interface(), m.Unmarshal(v.Interface())
	default:
		v := reflect.New(r.takes)
		err := m.Unmarshal(v.Interface())
		return v.Elem().Interface(), err
	}
}

func (r receiver) call(ctx context.Context, payload any) error {
	args := []reflect.Value{reflect.ValueOf(payload)}
	if r.context {
		args = []reflect.Value{reflect.ValueOf(ctx), args[0]}
	}
	err, _ := reflect.TypeAssert[error](r.f.Call(args)[0])
	return err
}
