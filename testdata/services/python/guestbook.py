"""A service of micro with nothing but gRPC.

It serves on a free port, registers there with a lease that it renews, reads the
configuration, keeps records, publishes and consumes events, and takes itself out of the
registry when it is told to stop. generate.sh makes the code that it imports.

    MICRO_PROXY   the address of the server; 127.0.0.1:8081 when not set
    MICRO_TOKEN   the token of an account with the scope service
"""

import json
import os
import queue
import signal
import sys
import threading
from concurrent import futures

import grpc

sys.path.append(os.path.join(os.path.dirname(__file__), "gen"))

import guestbook_pb2
import guestbook_pb2_grpc
from micro.config.v1 import config_pb2, config_pb2_grpc
from micro.events.v1 import events_pb2, events_pb2_grpc
from micro.registry.v1 import registry_pb2, registry_pb2_grpc
from micro.store.v1 import store_pb2, store_pb2_grpc

NAME = "guestbook"
LEASE = 15  # seconds


class Server:
    """The APIs of the server that this service belongs to."""

    def __init__(self, address, token):
        channel = grpc.insecure_channel(address)
        self.metadata = (("authorization", "Bearer " + token),)
        self.config = config_pb2_grpc.ConfigStub(channel)
        self.events = events_pb2_grpc.EventsStub(channel)
        self.registry = registry_pb2_grpc.RegistryStub(channel)
        self.store = store_pb2_grpc.StoreStub(channel)

    def setting(self, path, default):
        """Returns what the configuration says at a path."""
        try:
            response = self.config.Get(config_pb2.GetRequest(path=path), metadata=self.metadata)
        except grpc.RpcError as err:
            if err.code() == grpc.StatusCode.NOT_FOUND:
                return default
            raise
        return json.loads(response.json)

    def increment(self, key):
        """Adds one to the number under a key, whoever else does so, and returns it."""
        while True:
            number, revision = 0, 0
            try:
                request = store_pb2.ReadRequest(table=NAME, key=key)
                record = self.store.Read(request, metadata=self.metadata).records[0]
                number, revision = int(record.value), record.revision
            except grpc.RpcError as err:
                if err.code() != grpc.StatusCode.NOT_FOUND:
                    raise
            number += 1
            record = store_pb2.Record(key=key, value=str(number).encode())
            request = store_pb2.WriteRequest(table=NAME, record=record, if_revision=revision)
            try:
                self.store.Write(request, metadata=self.metadata)
                return number
            except grpc.RpcError as err:
                if err.code() != grpc.StatusCode.ABORTED:  # somebody was faster
                    raise

    def publish(self, topic, payload):
        event = events_pb2.Event(payload=json.dumps(payload).encode())
        self.events.Publish(events_pb2.PublishRequest(topic=topic, events=[event]), metadata=self.metadata)

    def consume(self, topic, group, handle):
        """Hands the events of a topic to a function, and acknowledges them, for ever."""
        while True:
            requests = queue.SimpleQueue()
            requests.put(events_pb2.ConsumeRequest(topic=topic, start=events_pb2.ConsumeStart(group=group)))
            try:
                for response in self.events.Consume(iter(requests.get, None), metadata=self.metadata):
                    for delivery in response.deliveries:
                        handle(json.loads(delivery.event.payload))
                        requests.put(events_pb2.ConsumeRequest(ack=[delivery.event.offset]))
            except grpc.RpcError as err:
                print("consuming was interrupted:", err.details(), file=sys.stderr, flush=True)
                stopping.wait(1)
            finally:
                requests.put(None)

    def keep_registered(self, address):
        """Keeps the service in the registry until it stops, and takes it out then."""
        with open(os.path.join(os.path.dirname(__file__), "gen", "guestbook.binpb"), "rb") as f:
            schema = f.read()
        instance = registry_pb2.Instance(service=NAME, version="python", address=address)
        request = registry_pb2.RegisterRequest(instance=instance, schema=schema)
        request.lease.seconds = LEASE
        registered = None
        while True:
            try:
                if registered is None:
                    registered = self.registry.Register(request, metadata=self.metadata).instance
                    print("registered as", registered.id, file=sys.stderr, flush=True)
                else:
                    renewal = registry_pb2.RenewRequest(service=NAME, id=registered.id, lease=request.lease)
                    self.registry.Renew(renewal, metadata=self.metadata)
            except grpc.RpcError as err:
                print("the registry says:", err.details(), file=sys.stderr, flush=True)
                if err.code() == grpc.StatusCode.NOT_FOUND:  # the lease has ended
                    registered = None
            if stopping.wait(LEASE / 3 if registered else 1):
                break
        if registered is not None:
            self.registry.Deregister(registry_pb2.DeregisterRequest(service=NAME, id=registered.id), metadata=self.metadata)


class Guestbook(guestbook_pb2_grpc.GuestbookServicer):
    def __init__(self, server):
        self.server = server
        self.visits = []
        self.more = threading.Condition()

    def Sign(self, request, context):
        if not request.name:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "name is empty")
        visits = self.server.increment(request.name.encode())
        self.server.publish(NAME, {"name": request.name})
        greeting = self.server.setting(NAME + ".greeting", "Welcome")
        return guestbook_pb2.SignResponse(msg=f"{greeting} {request.name}", visits=visits)

    def Visits(self, request, context):
        for i in range(request.count):
            with self.more:
                while len(self.visits) <= i:
                    if not self.more.wait(1) and not context.is_active():
                        return
                name = self.visits[i]
            yield guestbook_pb2.Visit(name=name)

    def visited(self, event):
        with self.more:
            self.visits.append(event["name"])
            self.more.notify_all()


stopping = threading.Event()


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    platform = Server(os.environ.get("MICRO_PROXY", "127.0.0.1:8081"), os.environ["MICRO_TOKEN"])
    guestbook = Guestbook(platform)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    guestbook_pb2_grpc.add_GuestbookServicer_to_server(guestbook, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    threading.Thread(target=platform.consume, args=(NAME, NAME, guestbook.visited), daemon=True).start()
    platform.keep_registered(f"127.0.0.1:{port}")
    server.stop(grace=8).wait()


if __name__ == "__main__":
    main()
