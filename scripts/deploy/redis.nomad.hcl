# Three Redis servers, each with its agent, on three hosts that run a Consul agent each.
#   nomad job run scripts/deploy/redis.nomad.hcl
job "redis" {
  datacenters = ["dc1"]
  type        = "service"

  # One after the other, each once /health says that it is level with the master: a memory-only cluster is updated without losing a key.
  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "5s"
    healthy_deadline  = "10m"
    progress_deadline = "15m"
  }

  group "redis" {
    count = 3

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    network {
      port "redis" {}
      port "health" {}
    }

    # Whatever becomes of an agent, it is started again: a Redis that keeps all in memory is not replaced for it.
    restart {
      attempts = 10
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    ephemeral_disk {
      sticky = true
      size   = 1024
    }

    service {
      name = "resec"
      port = "health"

      check {
        type     = "http"
        path     = "/health"
        interval = "2s"
        timeout  = "1s"
      }
    }

    task "redis" {
      driver       = "exec"
      kill_timeout = "30s" # for a snapshot

      config {
        command = "/usr/bin/redis-server"
        # Anybody who reaches this port may do anything: unless that is only you, give it the ACL of security.md.
        # Born parked: read-only until it is elected, or follows; it can wipe nobody.
        args = [
          "--port", "${NOMAD_PORT_redis}", "--dir", "${NOMAD_ALLOC_DIR}/data", "--protected-mode", "no", "--maxmemory", "700mb",
          "--replicaof", "127.0.0.1", "1",
        ]
      }

      resources {
        cpu    = 500
        memory = 1024
      }
    }

    task "resec" {
      driver = "exec"
      # The leader is stopped first: a master's agent hands over while its Redis still lives.
      leader       = true
      kill_timeout = "15s"

      config {
        command = "/usr/local/bin/resec"
        args    = ["agent"]
      }

      env {
        CONSUL_HTTP_ADDR = "127.0.0.1:8500"
        REDIS_ADDR       = "${NOMAD_ADDR_redis}"
        ANNOUNCE_ADDR    = "${NOMAD_ADDR_redis}"
        MEMBER_ID        = "${NOMAD_ALLOC_NAME}"
        LISTEN_ADDR      = "${NOMAD_ADDR_health}"
      }

      resources {
        cpu    = 100
        memory = 128 # it has 25 MB; a list of 100,000 clients, which are sent to the new master, is 40
      }
    }
  }
}
