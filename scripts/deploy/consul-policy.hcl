key_prefix "resec/"        { policy = "write" }
session_prefix ""          { policy = "write" }
service_prefix "redis-"    { policy = "write" }
node_prefix ""             { policy = "read" }   # without it health results come back empty, and no error says so
agent_prefix ""            { policy = "read" }   # for the node's name and address
