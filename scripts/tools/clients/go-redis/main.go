// Command go-redis writes through Sentinel with github.com/redis/go-redis.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: os.Getenv("MASTER"), SentinelAddrs: strings.Split(os.Getenv("SENTINELS"), ","),
	})
	pace, _ := strconv.Atoi(os.Getenv("PACE"))
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := client.Set(ctx, fmt.Sprint(os.Getenv("PREFIX"), ":", n), n, 0).Err(); err != nil {
			fmt.Println("!", err)
		} else {
			fmt.Println(n)
		}
		cancel()
		time.Sleep(time.Duration(pace) * time.Millisecond)
	}
}
