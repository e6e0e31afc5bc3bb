"""nats-py does what its users do, against the server at the URL in the environment variable NATS_URL."""

import asyncio
import os

import nats
from nats.errors import NoRespondersError

URL = os.environ["NATS_URL"]


async def publish_and_subscribe(client):
    subscription = await client.subscribe("py.*.created")
    every = await client.subscribe("py.>")
    for number in range(100):
        await client.publish("py.order.created", str(number).encode())
    for number in range(100):
        message = await subscription.next_msg(timeout=5)
        assert message.data == str(number).encode(), message.data
        assert message.subject == "py.order.created", message.subject
    await every.next_msg(timeout=5)
    await every.unsubscribe()
    await subscription.unsubscribe()


async def queue_group(client):
    counts = [0, 0, 0]

    def member(index):
        async def count(_message):
            counts[index] += 1

        return count

    members = [await client.subscribe("py.work", queue="workers", cb=member(n)) for n in range(3)]
    await client.flush()
    for _ in range(300):
        await client.publish("py.work", b"one of you")
    # A drain overtakes what this client has not sent yet.
    await client.flush()
    for subscription in members:
        await subscription.drain()
    assert sum(counts) == 300, counts
    assert min(counts) > 0, counts


async def request_and_reply(client):
    async def double(message):
        await message.respond(message.data * 2)

    service = await client.subscribe("py.double", cb=double)
    answer = await client.request("py.double", b"ab", timeout=5)
    assert answer.data == b"abab", answer.data
    await service.unsubscribe()
    try:
        await client.request("py.nobody", b"?", timeout=5)
    except NoRespondersError:
        pass
    else:
        raise AssertionError("a request without a responder was answered")


async def headers(client):
    subscription = await client.subscribe("py.headers")
    await client.publish("py.headers", b"body", headers={"Traceparent": "00-1-2-01", "Empty": ""})
    message = await subscription.next_msg(timeout=5)
    assert message.data == b"body", message.data
    assert message.headers == {"Traceparent": "00-1-2-01", "Empty": ""}, message.headers


async def unsubscribe_after(client):
    subscription = await client.subscribe("py.three")
    await subscription.unsubscribe(limit=3)
    for _ in range(5):
        await client.publish("py.three", b"x")
    await client.flush()
    for _ in range(3):
        await subscription.next_msg(timeout=5)
    assert subscription.pending_msgs == 0, subscription.pending_msgs


async def durable_pull(client):
    js = client.jetstream()
    await js.add_stream(name="PY", subjects=["py.kept.*"])
    for number in range(20):
        ack = await js.publish(f"py.kept.{number}", str(number).encode(), headers={"Nats-Msg-Id": str(number)})
        assert ack.seq == number + 1, ack
    again = await js.publish("py.kept.0", b"0", headers={"Nats-Msg-Id": "0"})
    assert again.duplicate and again.seq == 1, again
    consumer = await js.pull_subscribe("py.kept.*", durable="worker", stream="PY")
    for message in await consumer.fetch(5, timeout=5):
        await message.ack_sync()
    # Whoever comes later under the same name goes on there.
    other = await client.jetstream().pull_subscribe("py.kept.*", durable="worker", stream="PY")
    (refused,) = await other.fetch(1, timeout=5)
    assert refused.data == b"5", refused.data
    await refused.nak()
    rest = await other.fetch(14, timeout=5)
    assert {message.data for message in rest} <= {str(n).encode() for n in range(5, 20)}, rest
    for message in rest:
        await message.ack()
    info = await js.stream_info("PY")
    assert info.state.messages == 20, info.state


async def key_values(client):
    kv = await client.jetstream().create_key_value(bucket="py", history=5)
    revision = await kv.create("a", b"1")
    await kv.update("a", b"2", last=revision)
    await kv.put("b", b"3")
    assert (await kv.get("a")).value == b"2"
    assert [entry.value for entry in await kv.history("a")] == [b"1", b"2"]
    assert sorted(await kv.keys()) == ["a", "b"]
    watcher = await kv.watchall()
    first = {(await watcher.updates(timeout=5)).key for _ in range(2)}
    assert first == {"a", "b"}, first
    assert await watcher.updates(timeout=5) is None
    await kv.delete("b")
    gone = await watcher.updates(timeout=5)
    assert (gone.key, gone.operation) == ("b", "DEL"), gone
    await watcher.stop()


async def main():
    client = await nats.connect(URL, name="nats-py")
    checks = [publish_and_subscribe, queue_group, request_and_reply, headers, unsubscribe_after]
    for check in checks + [durable_pull, key_values]:
        await check(client)
        print(f"ok {check.__name__}")
    await client.drain()


asyncio.run(asyncio.wait_for(main(), 60))
