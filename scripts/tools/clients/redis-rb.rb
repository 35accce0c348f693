# Writes through Sentinel with redis-rb.
require 'redis'

$stdout.sync = true
sentinels = ENV['SENTINELS'].split(',').map do |addr|
  host, port = addr.rpartition(':').values_at(0, 2)
  { host: host, port: Integer(port) }
end
client = Redis.new(url: "redis://#{ENV['MASTER']}", sentinels: sentinels, role: :master, timeout: 1)
n = 0
loop do
  begin
    client.set("#{ENV['PREFIX']}:#{n}", n)
    puts n
  rescue Redis::BaseError, SystemCallError => e
    puts "! #{e.message}"
  end
  n += 1
  sleep Integer(ENV['PACE']) / 1000.0
end
