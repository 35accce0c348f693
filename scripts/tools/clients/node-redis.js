// Writes through Sentinel with node-redis.
const { createSentinel } = require('redis');

const sentinelRootNodes = process.env.SENTINELS.split(',').map((addr) => {
  const at = addr.lastIndexOf(':');
  return { host: addr.slice(0, at), port: Number(addr.slice(at + 1)) };
});

// Without this it waits for a master that died for as long as that stays down, and learns of no other one.
const nodeClientOptions = { socket: { reconnectStrategy: false } };

async function main() {
  const client = createSentinel({ name: process.env.MASTER, sentinelRootNodes, nodeClientOptions });
  client.on('error', (err) => console.log('!', err.message));
  await client.connect();
  for (let n = 0; ; n++) {
    try {
      const late = new Promise((_, fail) => setTimeout(() => fail(new Error('no answer in 1 s')), 1000).unref());
      await Promise.race([client.set(`${process.env.PREFIX}:${n}`, String(n)), late]);
      console.log(n);
    } catch (err) {
      console.log('!', err.message);
    }
    await new Promise((done) => setTimeout(done, Number(process.env.PACE)));
  }
}
main().catch((err) => { console.log('!', err.message); process.exit(1); });
