package commands

// examples are one or two command lines for each subcommand, as its help shows them.
var examples = map[string]string{
	"agent":      "REDIS_ADDR=127.0.0.1:6379 LISTEN_ADDR=:8280 resec agent",
	"elect":      "resec elect\nresec elect /usr/local/bin/redis-handler",
	"follow":     "resec follow\nresec follow ./on-new-master.sh",
	"sentinel":   "resec sentinel -sentinel-addr 127.0.0.1:26379\nredis-cli -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME redis",
	"proxy":      "resec proxy -write-addr 127.0.0.1:6379 -read-addr 127.0.0.1:6380",
	"status":     "resec status -wait 60s && echo healthy\nresec status -json | jq -r .verdict",
	"history":    "resec history",
	"switchover": "resec switchover -dry-run\nresec switchover -to redis-2",
	"failover":   "resec failover -dry-run\nresec failover -to redis-2 -force",
	"pause":      "resec pause -for 30m -reason 'kernel update'",
	"resume":     "resec resume",
	"forget":     "resec forget redis-3",
	"promote":    "resec promote -redis-addr 10.0.0.1:6379",
	"replicate":  "resec replicate -redis-addr 10.0.0.2:6379 10.0.0.1:6379",
	"fence":      "resec fence -redis-addr 10.0.0.1:6379",
	"version":    "resec version",
	"completion": "resec completion bash >/etc/bash_completion.d/resec",
	"man":        "resec man >/usr/local/share/man/man1/resec.1",
}

// beneathAnAgent is in the help of each handler.
const beneathAnAgent = "An agent beside this Redis reverts the change. To move the master use resec switchover; to force it, " +
	"resec failover."

// exitCodes are those of a subcommand that are not only 0, done, and 1, bad usage or not started.
var exitCodes = map[string]string{
	"elect": "0 released or stopped, 1 bad usage or not possible, 2 the promotion, the fence or the handler failed, " +
		"3 the lock or its Redis was lost, 4 -timeout has passed",
	"status": "0 healthy, 1 degraded or bad usage, 2 no master, 3 Consul does not answer",
	"switchover": "0 done, 1 bad usage or not possible, 2 refused: the old master is still the master, " +
		"4 failed or not done in time",
	"failover":  "0 done, 1 bad usage or not possible, 4 failed, interrupted or not done in time",
	"forget":    "0 done, 1 bad usage or not possible, 4 not done in time",
	"promote":   "0 done, 1 bad usage or not possible, 2 the handler failed",
	"replicate": "0 done, 1 bad usage or not possible, 2 the handler failed",
	"fence":     "0 done, 1 bad usage or not possible, 2 the handler failed",
}
