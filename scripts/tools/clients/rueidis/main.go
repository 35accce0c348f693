// Command rueidis writes through Sentinel with github.com/redis/rueidis.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

func main() {
	var client rueidis.Client
	for {
		var err error
		client, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: strings.Split(os.Getenv("SENTINELS"), ","),
			Sentinel: rueidis.SentinelOption{MasterSet: os.Getenv("MASTER")}})
		if err == nil {
			break
		}
		fmt.Println("!", err)
		time.Sleep(100 * time.Millisecond)
	}
	pace, _ := strconv.Atoi(os.Getenv("PACE"))
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		key := fmt.Sprint(os.Getenv("PREFIX"), ":", n)
		if err := client.Do(ctx, client.B().Set().Key(key).Value(strconv.Itoa(n)).Build()).Error(); err != nil {
			fmt.Println("!", err)
		} else {
			fmt.Println(n)
		}
		cancel()
		time.Sleep(time.Duration(pace) * time.Millisecond)
	}
}
