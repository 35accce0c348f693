// Writes through Sentinel with ioredis.
const Redis = require('ioredis');

const sentinels = process.env.SENTINELS.split(',').map((addr) => {
  const at = addr.lastIndexOf(':');
  return { host: addr.slice(0, at), port: Number(addr.slice(at + 1)) };
});
const client = new Redis({ sentinels, name: process.env.MASTER, commandTimeout: 1000 });
client.on('error', (err) => console.log('!', err.message));

async function main() {
  for (let n = 0; ; n++) {
    try {
      await client.set(`${process.env.PREFIX}:${n}`, n);
      console.log(n);
    } catch (err) {
      console.log('!', err.message);
    }
    await new Promise((done) => setTimeout(done, Number(process.env.PACE)));
  }
}
main();
