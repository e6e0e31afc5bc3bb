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


async def main():
    client = await nats.connect(URL, name="nats-py")
    for check in (publish_and_subscribe, queue_group, request_and_reply, headers, unsubscribe_after):
        await check(client)
        print(f"ok {check.__name__}")
    await client.drain()


asyncio.run(asyncio.wait_for(main(), 60))
