#!/usr/bin/python3
"""Watches a user's new vacancies on Core's WebSocket, and goes on where it was after a lost connection.

    apt-get install python3-aiohttp
    ./docs/examples/watch.py USER [--url ws://127.0.0.1:4001/ws] [--after 0]

Without --after, what is kept since the beginning comes first. Ctrl-C ends it.
"""
import argparse
import asyncio
import sys

import aiohttp


def show(message):
    for job in message["jobs"]:
        print(f"{job['id']}  {job['title']}  {job.get('salary') or ''}", flush=True)


async def watch(url, user, after):
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                query = {"userId": user, "clientId": "watch", "after": str(after)}
                async with session.ws_connect(url, params=query, max_msg_size=0) as socket:
                    async for frame in socket:
                        message = frame.json()
                        if message["type"] == "new_jobs":
                            show(message)
                            after = message["event_id"]
            except aiohttp.ClientError as error:
                print(f"# {error}; trying again", file=sys.stderr)
            await asyncio.sleep(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("user", help="the user's UUID")
    parser.add_argument("--url", default="ws://127.0.0.1:4001/ws")
    parser.add_argument("--after", type=int, default=0, help="the last event already seen")
    options = parser.parse_args()
    try:
        asyncio.run(watch(options.url, options.user, options.after))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
