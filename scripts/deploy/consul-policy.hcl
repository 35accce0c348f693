key "resec/.lock"          { policy = "write" }   # CONSUL_LOCK_KEY
key_prefix "resec/.lock/"  { policy = "write" }   # and the keys below it
session_prefix ""          { policy = "write" }   # by node: name the members' nodes, where others have tokens for theirs
service "redis-master"     { policy = "write" }   # CONSUL_SERVICE_PREFIX or CONSUL_SERVICE_NAME, with each role
service "redis-slave"      { policy = "write" }
service "redis-sentinel"   { policy = "write" }   # only with SENTINEL_ADDR
node_prefix ""             { policy = "read" }
agent_prefix ""            { policy = "read" }   # for the node's name and address
