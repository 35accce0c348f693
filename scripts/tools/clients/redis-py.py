"""Writes through Sentinel with redis-py."""
import itertools
import os
import time

from redis.exceptions import RedisError
from redis.sentinel import Sentinel

sentinels = [tuple(addr.rsplit(":", 1)) for addr in os.environ["SENTINELS"].split(",")]
client = Sentinel(sentinels, socket_timeout=1).master_for(os.environ["MASTER"], socket_timeout=1)
for n in itertools.count():
    try:
        client.set(f"{os.environ['PREFIX']}:{n}", n)
        print(n, flush=True)
    except RedisError as err:
        print("!", err, flush=True)
    time.sleep(int(os.environ["PACE"]) / 1000)
