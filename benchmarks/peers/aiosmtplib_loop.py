"""aiosmtplib's `sendmail` in a loop, on uvloop where there is one: PORT CONNECTIONS MESSAGES FILE."""

import asyncio
import sys
from pathlib import Path

import aiosmtplib


async def main(port: int, connections: int, messages: int, content: bytes) -> None:
    numbers = iter(range(messages))

    async def work() -> None:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=port, local_hostname="client.example", use_tls=False, start_tls=False
        )
        async with client:
            for _ in numbers:
                await client.sendmail("ana@example.org", ["comrade@example.org"], content)

    await asyncio.gather(*(work() for _ in range(connections)))


def loop_factory():
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main(*map(int, sys.argv[1:4]), Path(sys.argv[4]).read_bytes()))
