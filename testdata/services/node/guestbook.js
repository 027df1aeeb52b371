// A service of micro with nothing but gRPC.
//
// It serves on a free port, registers there with a lease that it renews, reads the
// configuration, keeps records, publishes and consumes events, and takes itself out of
// the registry when it is told to stop. The .proto files of the server's APIs are in
// proto; see docs/guides/languages.md.
//
//   MICRO_PROXY   the address of the server; 127.0.0.1:8081 when not set
//   MICRO_TOKEN   the token of an account with the scope service
"use strict";

const path = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const name = "guestbook";
const lease = 15; // seconds

const options = { includeDirs: [path.dirname(__dirname), path.join(__dirname, "proto")], longs: Number, defaults: true };
const own = loader.loadSync("guestbook.proto", options);
const apis = ["config", "events", "registry", "store"].map((api) => `micro/${api}/v1/${api}.proto`);
const { micro } = grpc.loadPackageDefinition(loader.loadSync(apis, options));

const address = process.env.MICRO_PROXY ?? "127.0.0.1:8081";
const credentials = grpc.credentials.createInsecure();
const config = new micro.config.v1.Config(address, credentials);
const events = new micro.events.v1.Events(address, credentials);
const registry = new micro.registry.v1.Registry(address, credentials);
const store = new micro.store.v1.Store(address, credentials);

const metadata = new grpc.Metadata();
metadata.set("authorization", "Bearer " + process.env.MICRO_TOKEN);

// call makes a call of the server; it fails with a code of grpc.status.
function call(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, metadata, (err, response) => (err ? reject(err) : resolve(response)));
  });
}

// setting returns what the configuration says at a path.
async function setting(path, fallback) {
  try {
    return JSON.parse((await call(config, "Get", { path })).json);
  } catch (err) {
    if (err.code === grpc.status.NOT_FOUND) return fallback;
    throw err;
  }
}

// increment adds one to the number under a key, whoever else does so, and returns it.
async function increment(key) {
  for (;;) {
    let number = 0;
    let revision = 0;
    try {
      const [record] = (await call(store, "Read", { table: name, key })).records;
      number = Number(record.value);
      revision = record.revision;
    } catch (err) {
      if (err.code !== grpc.status.NOT_FOUND) throw err;
    }
    number++;
    try {
      await call(store, "Write", { table: name, record: { key, value: Buffer.from(String(number)) }, ifRevision: revision });
      return number;
    } catch (err) {
      if (err.code !== grpc.status.ABORTED) throw err; // somebody was faster
    }
  }
}

const visits = [];
let waiting = []; // who waits for more visits

// consume hands the events of a topic to a function, and acknowledges them, for ever.
async function consume(topic, group, handle) {
  for (;;) {
    const stream = events.Consume(metadata);
    stream.write({ topic, start: { group } });
    try {
      for await (const { deliveries } of stream) {
        for (const { event } of deliveries) {
          handle(JSON.parse(event.payload));
          stream.write({ ack: [event.offset] });
        }
      }
    } catch (err) {
      console.error("consuming was interrupted:", err.details);
    }
    await sleep(1000);
  }
}

const guestbook = {
  async Sign({ request }, answer) {
    try {
      if (!request.name) throw { code: grpc.status.INVALID_ARGUMENT, details: "name is empty" };
      const count = await increment(Buffer.from(request.name));
      await call(events, "Publish", { topic: name, events: [{ payload: Buffer.from(JSON.stringify({ name: request.name })) }] });
      const greeting = await setting(name + ".greeting", "Welcome");
      answer(null, { msg: `${greeting} ${request.name}`, visits: count });
    } catch (err) {
      answer(err);
    }
  },

  async Visits(stream) {
    for (let i = 0; i < stream.request.count && !stream.cancelled; i++) {
      while (visits.length <= i && !stream.cancelled) await new Promise((resolve) => waiting.push(resolve));
      stream.write(visits[i]);
    }
    stream.end();
  },
};

// schema returns what the service speaks: a serialized FileDescriptorSet. The loader's is
// good for a file that imports nothing; else let protoc make it.
function schema() {
  const [file] = own["guestbook.SignRequest"].fileDescriptorProtos;
  return Buffer.concat([Buffer.from([0x0a]), varint(file.length), file]);
}

// varint returns a length as protobuf has it in front of a field.
function varint(n) {
  const bytes = [];
  for (; n > 127; n >>>= 7) bytes.push((n & 127) | 128);
  return Buffer.from([...bytes, n]);
}

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopping.abort());

// keepRegistered keeps the service in the registry until it stops, and takes it out then.
async function keepRegistered(address) {
  const request = { instance: { service: name, version: "node", address }, lease: { seconds: lease }, schema: schema() };
  let id;
  while (!stopping.signal.aborted) {
    try {
      if (!id) {
        id = (await call(registry, "Register", request)).instance.id;
        console.error("registered as", id);
      } else {
        await call(registry, "Renew", { service: name, id, lease: request.lease });
      }
    } catch (err) {
      console.error("the registry says:", err.details);
      if (err.code === grpc.status.NOT_FOUND) id = undefined; // the lease has ended
    }
    await sleep(id ? (lease * 1000) / 3 : 1000, null, { signal: stopping.signal }).catch(() => {});
  }
  if (id) await call(registry, "Deregister", { service: name, id });
}

async function main() {
  const server = new grpc.Server();
  server.addService(own["guestbook.Guestbook"], guestbook);
  const port = await new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (err, port) => (err ? reject(err) : resolve(port)));
  });
  consume(name, name, (event) => {
    visits.push(event);
    for (const resolve of waiting.splice(0)) resolve();
  });
  await keepRegistered(`127.0.0.1:${port}`);
  server.tryShutdown(() => process.exit(0));
  setTimeout(() => process.exit(0), 8000).unref();
}

main();
