// The npm package `nats` does what its users do, against the server at the URL in the environment
// variable NATS_URL.
"use strict";

const assert = require("node:assert/strict");
const { connect, headers, ErrorCode, StringCodec } = require("nats");

const text = StringCodec();

async function publishAndSubscribe(client) {
  const subscription = client.subscribe("js.*.created", { max: 100 });
  for (let number = 0; number < 100; number += 1) {
    client.publish("js.order.created", text.encode(String(number)));
  }
  let expected = 0;
  for await (const message of subscription) {
    assert.equal(text.decode(message.data), String(expected));
    assert.equal(message.subject, "js.order.created");
    expected += 1;
  }
  assert.equal(expected, 100);
}

async function queueGroup(client) {
  const counts = [0, 0, 0];
  const members = counts.map((_, index) =>
    client.subscribe("js.work", { queue: "workers", callback: () => { counts[index] += 1; } }));
  await client.flush();
  for (let number = 0; number < 300; number += 1) {
    client.publish("js.work");
  }
  await client.flush();
  await Promise.all(members.map((member) => member.drain()));
  assert.equal(counts.reduce((sum, count) => sum + count), 300);
  assert.ok(counts.every((count) => count > 0), `one member had all: ${counts}`);
}

async function requestAndReply(client) {
  const service = client.subscribe("js.double", {
    callback: (_, message) => message.respond(text.encode(text.decode(message.data).repeat(2))),
  });
  const answer = await client.request("js.double", text.encode("ab"), { timeout: 5000 });
  assert.equal(text.decode(answer.data), "abab");
  service.unsubscribe();
  const nobody = client.request("js.nobody", text.encode("?"), { timeout: 5000 });
  await assert.rejects(nobody, (error) => error.code === ErrorCode.NoResponders);
}

async function headersTravel(client) {
  const subscription = client.subscribe("js.headers", { max: 1 });
  const sent = headers();
  sent.append("Traceparent", "00-1-2-01");
  sent.append("Tag", "a");
  sent.append("Tag", "b");
  client.publish("js.headers", text.encode("body"), { headers: sent });
  for await (const message of subscription) {
    assert.equal(text.decode(message.data), "body");
    assert.equal(message.headers.get("Traceparent"), "00-1-2-01");
    assert.deepEqual(message.headers.values("Tag"), ["a", "b"]);
  }
}

async function largeMessages(client) {
  const subscription = client.subscribe("js.large", { max: 4 });
  const payload = new Uint8Array(client.info.max_payload).fill(7);
  for (let number = 0; number < 4; number += 1) {
    client.publish("js.large", payload);
  }
  for await (const message of subscription) {
    assert.equal(message.data.length, payload.length);
  }
}

async function main() {
  const client = await connect({ servers: process.env.NATS_URL, name: "nats.js" });
  for (const check of [publishAndSubscribe, queueGroup, requestAndReply, headersTravel, largeMessages]) {
    await check(client);
    console.log(`ok ${check.name}`);
  }
  await client.drain();
}

const alarm = setTimeout(() => {
  console.error("not done after a minute");
  process.exit(1);
}, 60_000);

main().then(() => clearTimeout(alarm), (error) => {
  console.error(error);
  process.exit(1);
});
